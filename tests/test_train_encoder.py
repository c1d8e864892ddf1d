"""An encoder's opinions: of whom they may be, what they are made of, and what becomes of the targets."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spoken_corpus import LABELS, TINY, speak_emodb

from edge_ser.errors import ConfigError
from train.audio import read_audio
from train.backend import configure
from train.recipe import Encoder, Recipe, deciding, load_recipe
from train.selection import select
from train.task import Task, run_task

pytest.importorskip("onnxruntime", reason="the extra `encoder` is not installed")
configure()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

from train import encoder  # noqa: E402
from train.cv import cross_validate  # noqa: E402
from train.models import load_model  # noqa: E402
from train.targets import Opinions, Targets  # noqa: E402
from train.utterance import read_utterances  # noqa: E402

try:
    FILE = Path(str(importlib.metadata.distribution(encoder.PACKAGE).locate_file(encoder.FILE)))
except importlib.metadata.PackageNotFoundError:
    pytest.skip("pipecat-ai is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.features.CACHE", tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("emodb-cnn", [*TINY, "encoder.weight=0.5", "encoder.further=true"])


def without_sadness(recipe: Recipe) -> Recipe:
    return replace(recipe, data=replace(recipe.data, labels=["anger", "neutral"]))


def speech(corpus: Path) -> np.ndarray:
    return read_audio(corpus / "emodb/wav/08a01Wa.wav", 16000)


def test_the_encoder_is_given_what_its_own_package_would_give_it(corpus: Path) -> None:
    spec = importlib.util.spec_from_file_location("whisper", FILE.parents[1] / "_whisper_features.py")
    assert spec is not None and spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    samples = speech(corpus)
    expected = theirs.compute_whisper_log_mel_features(np.pad(samples, (8 * 16000 - len(samples), 0)))
    given = encoder.features(samples)
    assert given.shape == expected.shape == (80, 800)
    sounding = slice(800 - len(samples) // 160 + 3, 797)
    # A transform of 512 points has other bins than one of 400: single bands differ, no band as a whole.
    difference = (given - expected)[:, sounding]
    assert np.sqrt((difference**2).mean()) < 0.06
    assert np.abs(difference.mean(axis=1)).max() < 0.06 and np.abs(difference.mean()) < 0.005
    assert expected[:, sounding].std() > 0.3


def test_only_the_last_eight_seconds_are_heard_at_whatever_level(corpus: Path) -> None:
    samples = np.tile(speech(corpus), 12)[: 9 * 16000]
    whole = encoder.heard(samples)
    assert whole.shape == (7 * 2 * 384,) and np.isfinite(whole).all()
    np.testing.assert_array_equal(whole, encoder.heard(samples[-8 * 16000 :]))
    quiet = encoder.heard(0.1 * samples)
    assert np.abs(whole - quiet).mean() < 0.05 * np.abs(whole).mean()
    assert np.isfinite(encoder.heard(np.zeros(400, np.float32))).all()


def test_what_is_said_of_what_was_learnt_agrees_with_the_labels(corpus: Path, recipe: Recipe) -> None:
    utterances = select(recipe.data, corpus).utterances
    said = encoder.opinions(recipe, utterances, corpus).said
    np.testing.assert_allclose(said.sum(axis=1), 1.0, atol=1e-9)
    truth = np.array([LABELS.index(each.emotion) for each in utterances])
    assert (said.argmax(axis=1) == truth).mean() > 0.9


def test_further_recordings_are_of_the_speakers_who_are_learnt_from(corpus: Path, recipe: Recipe) -> None:
    recipe = without_sadness(recipe)
    utterances = [each for each in select(recipe.data, corpus).utterances if each.speaker != "08"]
    opinions = encoder.opinions(recipe, utterances, corpus)
    assert {each.emotion for each in opinions.further} == {"sadness"}
    assert {each.speaker for each in opinions.further} == {"03", "09", "10"}
    assert len(opinions.said) == len(utterances) + len(opinions.further) == 24 + 12
    none = replace(recipe, encoder=replace(recipe.encoder, further=False))
    assert encoder.opinions(none, utterances, corpus).further == []


def test_a_merged_label_is_not_further(corpus: Path, recipe: Recipe) -> None:
    recipe = without_sadness(recipe)
    recipe = replace(recipe, data=replace(recipe.data, merge={"sadness": "neutral"}))
    assert encoder.further(recipe, select(recipe.data, corpus).utterances, corpus) == []


def test_a_label_that_no_svm_met_is_the_least_likely_one() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0, 2] * 20)
    values = (rng.standard_normal((40, 5)) + truth[:, None]).astype(np.float32)
    margins = encoder.svm_margins(values, truth, np.array(["x"] * 40), 4, 0.1, values)
    assert margins.shape == (40, 4)
    assert (margins[:, [0, 2]].argmax(axis=1) * 2 == truth).mean() > 0.8
    np.testing.assert_array_equal(margins[:, 1], margins[:, [0, 2]].min(axis=1))


def test_the_baseline_learns_by_the_same_protocol_as_a_network(corpus: Path, tmp_path: Path) -> None:
    recipe = load_recipe("baseline-encoder", ["data.labels=['anger', 'neutral', 'sadness']"])
    utterances = select(recipe.data, corpus).utterances
    result = cross_validate(recipe, utterances, corpus, tmp_path / "cv", tell=lambda line: None)
    assert result["metrics"]["uar"] > 0.9  # espeak-ng's voices and manners are easily told apart
    assert not (tmp_path / "cv" / "fold-01-seed-0" / "model.keras").exists()


def test_too_little_to_learn_an_opinion_from_is_refused(corpus: Path, recipe: Recipe) -> None:
    utterances = select(recipe.data, corpus).utterances
    with pytest.raises(ConfigError, match="needs recordings of two speakers at least"):
        encoder.opinions(recipe, [each for each in utterances if each.speaker == "03"], corpus)
    with pytest.raises(ConfigError, match="needs two labels at least"):
        encoder.opinions(recipe, [each for each in utterances if each.emotion == "anger"], corpus)


def test_margins_become_probabilities_as_sharp_as_they_are_right() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(3, size=400)
    margins = np.eye(3)[truth] + 0.05 * rng.standard_normal((400, 3))
    wrong = rng.integers(3, size=400)
    half = np.where(rng.random((400, 1)) < 0.5, margins, np.eye(3)[wrong])
    assert encoder.best_scale(half, truth) < encoder.best_scale(margins, truth) == encoder.SCALES[-1]


def test_opinions_take_their_share_and_further_ones_all(corpus: Path, recipe: Recipe) -> None:
    recipe = without_sadness(recipe)
    every = select(replace(recipe.data, labels=LABELS), corpus).utterances
    labelled = [each for each in every if each.emotion != "sadness"]
    sad = [each for each in every if each.emotion == "sadness"]
    said = np.tile([0.8, 0.2], (len(every), 1))
    targets, weights = Targets(recipe, labelled, Opinions(said, sad)).of(range(len(every)))
    plain, plain_weights = Targets(recipe, labelled).of(range(len(labelled)))
    n = len(labelled)
    np.testing.assert_allclose(targets["emotion"][:n], 0.5 * plain["emotion"] + 0.5 * said[:n], atol=1e-6)
    np.testing.assert_allclose(targets["emotion"][n:], said[n:], atol=1e-6)
    np.testing.assert_array_equal(weights["emotion"][:n], plain_weights["emotion"])
    assert len(sad) < n and np.allclose(weights["emotion"][n:], 1.0)
    many = Targets(recipe, labelled[:8], Opinions(said, [*labelled[8:], *sad])).of(range(len(every)))[1]
    np.testing.assert_allclose(many["emotion"][8:].sum(), many["emotion"][:8].sum(), rtol=1e-5)


def test_a_fit_says_what_else_it_learnt_from(corpus: Path, recipe: Recipe, tmp_path: Path) -> None:
    recipe = without_sadness(recipe)
    utterances = select(recipe.data, corpus).utterances
    train = tuple(each for each in utterances if each.speaker != "08")
    held_out = tuple(each for each in utterances if each.speaker == "08")
    alone = replace(recipe, encoder=Encoder())
    runs = {}
    for name, each in (("taught", recipe), ("alone", alone)):
        run_task(Task(each.as_dict(), train, held_out, str(corpus), str(tmp_path / name), 0))
        runs[name] = json.loads((tmp_path / name / "run.json").read_text())
    learnt = read_utterances(tmp_path / "taught" / "further.csv")
    assert {each.speaker for each in learnt} == {"03", "09", "10"} and len(learnt) == 12
    assert "further_digest" in runs["taught"] and "further_digest" not in runs["alone"]
    assert not (tmp_path / "alone" / "further.csv").exists()
    assert runs["taught"]["input"]["mean"] == runs["alone"]["input"]["mean"]
    both = [load_model(tmp_path / name / "model.keras").get_weights() for name in runs]
    assert any(not np.allclose(one, other) for one, other in zip(*both, strict=True))


def test_a_run_of_before_there_were_encoders_is_that_of_the_same_recipe_without_one(recipe: Recipe) -> None:
    plain = load_recipe("emodb-cnn").as_dict()
    before = {name: part for name, part in plain.items() if name != "encoder"}
    assert deciding(before) == deciding(plain)
    assert deciding(recipe.as_dict())["encoder"]["weight"] == 0.5


def test_an_encoder_that_is_not_there_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "PACKAGE", "no-such-package-of-ours")
    encoder._encoder.cache_clear()
    with pytest.raises(
        ConfigError, match=r"not installed: pip install 'edge-ser\[encoder\]' .*pipecat-ai==1\.14\.0"
    ):
        encoder.heard(np.zeros(16000, np.float32))


def test_another_file_than_the_one_that_was_measured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "SHA256", 64 * "0")
    encoder._encoder.cache_clear()
    with pytest.raises(ConfigError, match="another encoder than that of pipecat-ai"):
        encoder.heard(np.zeros(16000, np.float32))


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("emodb-cnn", "encoder.weight=1.5", "encoder.weight = 1.5 is not between 0 and 1"),
        ("emodb-rnn", "input.silence=class", "without silence as a class"),
        ("baseline-egemaps", "encoder.c=1e-5", "is for networks"),
    ],
)
def test_where_no_encoder_can_help_it_is_refused(name: str, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe(name, ["encoder.weight=0.5", override])
