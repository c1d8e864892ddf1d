"""Corpora are read by their owners' naming, and what cannot be used is listed with the reason."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_ser.errors import AudioError, ConfigError
from train.corpora import READERS, read_corpus
from train.recipe import Data
from train.selection import select
from train.utterance import Utterance, manifest_digest, read_utterances, write_utterances


def make_tree(root: Path, *paths: str) -> Path:
    """Short recordings at ROOT/PATH, no two alike."""
    for number, path in enumerate(paths, start=1):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, np.full(1600, number / 1000.0, dtype=np.float32), 16000)
    return root


def only(root: Path, name: str) -> Utterance:
    """The one utterance of a corpus, its path relative to the root of the corpora."""
    (utterance,) = read_corpus(name, root).utterances
    return utterance


def test_emodb_names_are_read(tmp_path: Path) -> None:
    utterance = only(make_tree(tmp_path, "emodb/wav/03a01Fa.wav"), "emodb")
    assert utterance == Utterance(
        "emodb/wav/03a01Fa.wav", "emodb", "03", "male", "de", "happiness", text_id="a01", style="scripted"
    )


@pytest.mark.parametrize(
    ("name", "emotion", "intensity", "speaker", "gender"),
    [
        ("03-01-06-01-02-01-12.wav", "fear", "normal", "Actor_12", "female"),
        ("03-01-02-02-01-02-07.wav", "calm", "strong", "Actor_07", "male"),
        ("03-01-08-02-01-01-24.flac", "surprise", "strong", "Actor_24", "female"),
    ],
)
def test_ravdess_names_are_read(
    tmp_path: Path, name: str, emotion: str, intensity: str, speaker: str, gender: str
) -> None:
    utterance = only(make_tree(tmp_path, f"ravdess/Actor_xx/{name}"), "ravdess")
    assert (utterance.emotion, utterance.intensity) == (emotion, intensity)
    assert (utterance.speaker, utterance.gender) == (speaker, gender)
    assert utterance.text_id == f"s{name[12:14]}"


def test_ravdess_songs_are_left_out_and_listed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "ravdess/03-01-01-01-01-01-01.wav", "ravdess/03-02-01-01-01-01-01.wav")
    listing = read_corpus("ravdess", tree)
    assert [each.path for each in listing.utterances] == ["ravdess/03-01-01-01-01-01-01.wav"]
    assert listing.skipped == [("03-02-01-01-01-01-01.wav", "sung, not spoken")]


def test_savee_is_read_in_both_its_layouts(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "savee/AudioData/DC/sa01.wav", "savee/KL_n30.wav", "savee/JE/su15.wav")
    found = {
        each.path: (each.speaker, each.emotion, each.text_id)
        for each in read_corpus("savee", tree).utterances
    }
    assert found == {
        "savee/AudioData/DC/sa01.wav": ("DC", "sadness", "sa01"),
        "savee/KL_n30.wav": ("KL", "neutral", "n30"),
        "savee/JE/su15.wav": ("JE", "surprise", "su15"),
    }


def test_cremad_takes_genders_from_the_demographics(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        "cremad/AudioWAV/1001_DFA_ANG_XX.wav",
        "cremad/AudioWAV/1002_IEO_SAD_HI.wav",
        "cremad/AudioWAV/1003_TIE_NEU_X.wav",
    )
    demographics = "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n1002,21,Female,,\n"
    (tree / "cremad" / "VideoDemographics.csv").write_text(demographics)
    found = [
        (each.speaker, each.gender, each.emotion, each.intensity, each.text_id)
        for each in read_corpus("cremad", tree).utterances
    ]
    assert found == [
        ("1001", "male", "anger", "", "DFA"),
        ("1002", "female", "sadness", "strong", "IEO"),
        ("1003", "", "neutral", "", "TIE"),
    ]


def test_tess_names_are_read_and_its_one_misspelt_speaker_too(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        "tess/OAF_Fear/OAF_back_fear.wav",
        "tess/YAF_ps/YAF_dog_ps.wav",
        "tess/OAF_Fear/OA_bite_neutral.wav",
    )
    found = {(each.speaker, each.text_id, each.emotion) for each in read_corpus("tess", tree).utterances}
    assert found == {("OAF", "back", "fear"), ("YAF", "dog", "surprise"), ("OAF", "bite", "neutral")}


def test_emovo_names_are_read(tmp_path: Path) -> None:
    utterance = only(make_tree(tmp_path, "emovo/f2/gio-f2-d1.wav"), "emovo")
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("f2", "female", "happiness")
    assert (utterance.language, utterance.text_id) == ("it", "d1")


def test_urdu_names_are_read(tmp_path: Path) -> None:
    utterance = only(make_tree(tmp_path, "urdu/Angry/SM1_F10_A010.wav"), "urdu")
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("SM1", "male", "anger")
    assert utterance.style == "improvised"


EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[4.5000, 4.0000, 3.5000]
[12.0000 - 13.0000]\tSes01F_impro01_F001\txxx\t[2.5000, 3.0000, 2.5000]
[14.0000 - 15.0000]\tSes01F_impro01_M002\tang\t[1.5000, 3.0000, 4.5000]
"""


def test_iemocap_is_read_from_its_evaluations(tmp_path: Path) -> None:
    dialogue = "iemocap/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01"
    tree = make_tree(
        tmp_path,
        f"{dialogue}_F000.wav",
        f"{dialogue}_M001.wav",
        f"{dialogue}_F001.wav",
        f"{dialogue}_F009.wav",
    )
    evaluations = tree / "iemocap" / "Session1" / "dialog" / "EmoEvaluation"
    evaluations.mkdir(parents=True)
    (evaluations / "Ses01F_impro01.txt").write_text(EVALUATION)
    listing = read_corpus("iemocap", tree)
    first, second = listing.utterances
    assert (first.speaker, first.gender, first.emotion, first.style) == (
        "Ses01F",
        "female",
        "neutral",
        "improvised",
    )
    assert (second.speaker, second.gender, second.emotion) == ("Ses01M", "male", "excitement")
    assert (second.valence, second.arousal, second.dominance) == (4.5, 4.0, 3.5)
    assert second.duration_s == pytest.approx(1.3825)
    reasons = {Path(path).stem: reason for path, reason in listing.skipped}
    assert reasons == {
        "Ses01F_impro01_F001": "the raters did not agree (xxx)",
        "Ses01F_impro01_M002": "labelled in Ses01F_impro01.txt, but there is no such audio file",
        "Ses01F_impro01_F009": "no line in dialog/EmoEvaluation",
    }


def test_iemocap_tells_scripted_from_improvised(tmp_path: Path) -> None:
    name = "Ses05M_script01_1b_F003"
    tree = make_tree(tmp_path, f"iemocap/Session5/sentences/wav/Ses05M_script01_1b/{name}.wav")
    evaluations = tree / "iemocap" / "Session5" / "dialog" / "EmoEvaluation"
    evaluations.mkdir(parents=True)
    (evaluations / "Ses05M_script01_1b.txt").write_text(f"[1.0 - 2.5]\t{name}\tfru\t[2.0, 3.0, 3.5]\n")
    utterance = only(tree, "iemocap")
    assert (utterance.speaker, utterance.style, utterance.text_id) == ("Ses05F", "scripted", "script01_1b")


def test_a_manifest_of_ones_own_needs_three_columns_only(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "mine/one.wav", "mine/two.wav")
    (tree / "mine" / "manifest.csv").write_text(
        "path,speaker,emotion,intensity,valence\none.wav,ann,joy,strong,4.5\ntwo.wav,bob,,,\ngone.wav,ann,joy,,\n"
    )
    listing = read_corpus("mine", tree)
    (utterance,) = listing.utterances
    assert (utterance.corpus, utterance.speaker, utterance.emotion) == ("mine", "ann", "joy")
    assert (utterance.intensity, utterance.valence) == ("strong", 4.5)
    assert listing.skipped == [("two.wav", "line 3 has no emotion"), ("gone.wav", "the file is missing")]


def test_a_manifest_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "mine/one.wav")
    (tree / "mine" / "manifest.csv").write_text("path,speaker,emotions\none.wav,ann,joy\n")
    with pytest.raises(ConfigError, match="column 'emotion' is missing; did you mean 'emotions'"):
        read_corpus("mine", tree)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_folder_without_any_fitting_file_is_refused(tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path, f"{name}/holiday.wav")
    with pytest.raises(ConfigError, match=str(tmp_path / name)):
        read_corpus(name, tree)


def test_a_missing_corpus_is_named_with_what_there_is(tmp_path: Path) -> None:
    make_tree(tmp_path, "emodb/03a01Fa.wav")
    with pytest.raises(ConfigError, match="no such corpus; there are emodb; did you mean 'emodb'"):
        read_corpus("emobd", tmp_path)


def test_files_that_break_the_naming_are_listed(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path, "emodb/03a01Fa.wav", "emodb/99a01Fa.wav", "emodb/03a01Xa.wav", "emodb/notes.wav"
    )
    assert read_corpus("emodb", tree).skipped == [
        ("03a01Xa.wav", "unknown emotion code 'X'"),
        ("99a01Fa.wav", "unknown speaker 99"),
        ("notes.wav", "the name does not follow the corpus's naming scheme"),
    ]


def test_labels_outside_the_recipe_are_left_out_and_merged_ones_renamed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "emodb/03a01Fa.wav", "emodb/03a01La.wav", "emodb/03a01Ta.wav")
    chosen = select(Data(["emodb"], ["happiness", "neutral"], merge={"boredom": "neutral"}), tree)
    assert [each.emotion for each in chosen.utterances] == ["happiness", "neutral"]
    assert chosen.left_out == [("emodb/03a01Ta.wav", "emotion 'sadness' is not in data.labels")]
    assert chosen.utterances[0].duration_s == pytest.approx(0.1)
    assert len(chosen.utterances[0].sha256) == 64


def test_selection_by_any_field(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "emodb/03a01Fa.wav", "emodb/08a01Fa.wav")
    chosen = select(Data(["emodb"], ["happiness"], only={"gender": ["female"]}), tree)
    assert [each.speaker for each in chosen.utterances] == ["08"]
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        select(Data(["emodb"], ["happiness"], only={"gendre": ["female"]}), tree)


def twins(root: Path, first: str, second: str) -> Path:
    make_tree(root, first, second)
    (root / second).write_bytes((root / first).read_bytes())
    return root


def test_of_identical_recordings_one_is_kept(tmp_path: Path) -> None:
    tree = twins(tmp_path, "emodb/03a01Fa.wav", "emodb/03a01Fb.wav")
    chosen = select(Data(["emodb"], ["happiness"]), tree)
    assert [each.path for each in chosen.utterances] == ["emodb/03a01Fa.wav"]
    assert chosen.left_out == [("emodb/03a01Fb.wav", "byte-identical to another")]
    assert len(select(Data(["emodb"], ["happiness"], duplicates="keep"), tree).utterances) == 2
    with pytest.raises(ConfigError, match="byte-identical"):
        select(Data(["emodb"], ["happiness"], duplicates="refuse"), tree)


def test_identical_recordings_with_different_labels_are_both_left_out(tmp_path: Path) -> None:
    tree = twins(tmp_path, "emodb/03a01Fa.wav", "emodb/03a01Ta.wav")
    with pytest.raises(ConfigError, match="no utterance is labelled 'happiness'"):
        select(Data(["emodb"], ["happiness", "sadness"]), tree)


def test_an_unreadable_file_is_refused_or_skipped_by_the_rule(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "emodb/03a01Fa.wav", "emodb/08a01Fa.wav")
    (tree / "emodb/08a01Fb.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"08a01Fb.wav: unreadable"):
        select(Data(["emodb"], ["happiness"]), tree)
    chosen = select(Data(["emodb"], ["happiness"], unreadable="skip"), tree)
    assert [each.path for each in chosen.utterances] == ["emodb/03a01Fa.wav", "emodb/08a01Fa.wav"]
    assert chosen.left_out == [("emodb/08a01Fb.wav", "unreadable")]


def test_lists_of_utterances_survive_a_file_and_keep_their_digest(tmp_path: Path) -> None:
    utterances = [
        Utterance("a/1.wav", "a", "ann", "female", "en", "joy, of a kind", valence=1.5),
        Utterance("a/2.wav", "a", "bob", "", "", "sadness", duration_s=0.1),
    ]
    write_utterances(tmp_path / "list.csv", utterances)
    assert read_utterances(tmp_path / "list.csv") == utterances
    assert manifest_digest(utterances) == manifest_digest(utterances[::-1])
    assert manifest_digest(utterances) != manifest_digest(utterances[:1])


@pytest.mark.skipif("EDGE_SER_CORPORA" not in os.environ, reason="EDGE_SER_CORPORA is not set")
def test_the_real_corpora_hold_what_their_owners_state() -> None:
    counts = {name: len(read_corpus(name).utterances) for name in ("emodb", "ravdess", "emovo", "urdu")}
    assert counts == {"emodb": 535, "ravdess": 1440, "emovo": 588, "urdu": 400}
    emodb = Counter(each.emotion for each in read_corpus("emodb").utterances)
    assert emodb == {
        "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62
    }  # fmt: skip
    labels = ["anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    chosen = select(Data(["ravdess"], labels))
    assert [path for path, _ in chosen.left_out] == ["ravdess/happiness/03-01-03-01-02-02-07.flac"]


@pytest.mark.skipif("EDGE_SER_CORPORA" not in os.environ, reason="EDGE_SER_CORPORA is not set")
@pytest.mark.parametrize("name", ["emodb", "ravdess", "emovo", "urdu", "tess"])
def test_names_and_manifests_of_the_real_corpora_agree(name: str) -> None:
    root = Path(os.environ["EDGE_SER_CORPORA"])
    by_manifest = {each.path: each for each in read_corpus(name).utterances}
    for by_name in READERS[name](root / name).utterances:
        stated = by_manifest[f"{name}/{by_name.path}"]
        for field in ("speaker", "gender", "language", "emotion", "intensity"):
            assert getattr(by_name, field) == getattr(stated, field), f"{field} of {by_name.path}"
