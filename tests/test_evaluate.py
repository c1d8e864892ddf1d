"""Robustness, strangers and the shipped models: from a cross-validation on spoken data to JSON and card."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from spoken_corpus import TINY, speak_emodb

from convert import evaluate, parity
from convert.__main__ import main
from convert.confidence import calibration_of, mean_typical, typical_logits
from convert.modelfile import unpack
from convert.perturb import PERTURBATIONS, RATE_HZ, wav
from convert.robustness import verdict
from convert.shipped import LIST, shipped
from convert.short import LENGTHS_S, Pieces, fit
from convert.strangers import enrolment, followed, profile_of, swallowers
from convert.tables import robustness_section, strangers_section
from edge_ser.audio import read_audio
from edge_ser.engine import Engine
from edge_ser.model import DEFAULT_MODEL, MODELS, Model
from edge_ser.short import Shortness
from train.__main__ import main as train
from train.recipe import recipe_names

TWO_FOLDS = [*TINY, "evaluation.split=group-kfold", "evaluation.folds=2", "evaluation.seeds=[3]"]


def overrides(values: list[str]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Corpora with speech and noise, and a cross-validation of two folds that convert cv has evaluated."""
    root = speak_emodb(tmp_path_factory.mktemp("corpora"))
    rng = np.random.default_rng(0)
    for name, samples in {
        "non_speech/hiss": rng.normal(0, 0.1, 3 * RATE_HZ),
        "impulse_response/hall": np.exp(-np.arange(4000) / 800) * rng.normal(0, 1, 4000),
    }.items():
        path = root / "noise" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.clip(samples, -1, 1), RATE_HZ)
    folder = tmp_path_factory.mktemp("cv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.features.CACHE", folder / "cache")
        patch.setenv("EDGE_SER_CORPORA", str(root))
        patch.setenv("EDGE_SER_TFLITE_PYTHON", "/nonexistent")
        patch.setattr(parity, "MIN_AGREEMENT", 0.0)
        assert train(["cv", "emodb-cnn", *overrides(TWO_FOLDS), "-o", str(folder / "cv")]) == 0
        assert main(["cv", str(folder / "cv"), "-o", str(folder / "figures.json"), "--fine-tune", "0"]) == 0
        yield folder


def test_robustness_is_added_to_the_evaluation_and_stays_in_it(workplace):
    figures = workplace / "figures.json"
    before = json.loads(figures.read_text())
    arguments = ["robustness", str(workplace / "cv"), "--every", "3", "-o", str(figures)]
    assert main(arguments) == 0
    after = json.loads(figures.read_text())
    folds = [path.stat().st_size for path in (workplace / "cv").glob("fold-*/int8.tflite")]
    assert len(folds) == 2 and after["file_bytes"] == max(folds)
    part = after.pop("robustness")
    assert after == before
    assert [row["what"] for row in part["rows"]] == list(PERTURBATIONS)
    assert (part["utterances"], part["speakers"], part["folds"], part["seeds"]) == (16, 4, 2, [3])
    assert part["command"].startswith("python -m convert robustness ") and len(part["date"]) == 10
    plain = part["rows"][0]
    low, high = plain["interval"]
    assert low <= plain["int8"] <= high
    rows = {row["what"]: row for row in part["rows"]}
    assert rows["48 kHz source"]["float"] == pytest.approx(plain["float"], abs=0.13)  # 2 of 16
    section = robustness_section(part)
    assert "| noise, 0 dB SNR | " in section and "every 3. of their utterances, 16 utterances" in section
    assert main(["cv", str(workplace / "cv"), "-o", str(figures), "--fine-tune", "0"]) == 0
    assert json.loads(figures.read_text())["robustness"] == part


def test_robustness_asks_for_the_conversion_first(workplace, tmp_path, capsys):
    cv = json.loads((workplace / "cv" / "cv.json").read_text())
    (tmp_path / "cv.json").write_text(json.dumps(cv))
    assert main(["robustness", str(tmp_path), "-o", str(tmp_path / "figures.json")]) == 3
    assert "run python -m convert cv" in capsys.readouterr().err
    assert main(["robustness", str(tmp_path), str(tmp_path), "-o", str(tmp_path / "figures.json")]) == 3
    assert "one cross-validation at a time" in capsys.readouterr().err


def test_strangers_are_pooled_over_seeds_and_heard_adapted(workplace):
    figures = workplace / "strangers.json"
    runs = [str(path) for path in sorted((workplace / "cv").glob("fold-*"))]
    assert main(["strangers", *runs, "-o", str(figures), "--fine-tune", "0"]) == 0
    part = json.loads(figures.read_text())["strangers"]
    [row] = part["rows"]
    assert (row["corpus"], row["trained_on"], row["seeds"]) == ("emodb", ["emodb"], [3, 3])
    assert row["true_shares"] == pytest.approx([1 / 3] * 3)
    for case in ("float", "plain", "profile", "any_mood", "adapt"):
        assert sum(row[case]["shares"]) == pytest.approx(1)
        assert part["mean"][case]["uar"] == pytest.approx(row[case]["uar"])
    cv = json.loads((workplace / "cv" / "cv.json").read_text())
    assert row["float"]["uar"] == pytest.approx(cv["metrics"]["uar"])  # the same utterances, the same models
    low, high = part["mean"]["plain"]["loss_interval"]
    assert low <= row["float"]["uar"] - row["plain"]["uar"] <= high
    assert "As is, int8 costs " in strangers_section(part)
    assert "| emodb | said, as is | " in strangers_section(part).replace("|  | said", "| emodb | said")


def test_strangers_calibrate_and_are_heard_under_perturbation_too(workplace):
    figures = workplace / "strangers.json"
    runs = [str(path) for path in sorted((workplace / "cv").glob("fold-*"))]
    assert main(["strangers", *runs, "-o", str(figures), "--fine-tune", "0"]) == 0
    assert main(["robustness", *runs, "--every", "4", "-o", str(figures)]) == 0
    evaluation = json.loads(figures.read_text())
    part = evaluation["robustness"]
    assert (part["folds"], part["seeds"]) == (2, [3]) and "unseen corpora" in part["protocol"]
    of_folds = workplace / "folds.json"
    assert main(["robustness", str(workplace / "cv"), "--every", "4", "-o", str(of_folds)]) == 0
    assert part["rows"] == json.loads(of_folds.read_text())["robustness"]["rows"]
    calibration = calibration_of(evaluation)
    assert calibration["apart"] == "corpus" and 0.25 <= calibration["temperature"] <= 8
    # Strangers come first: they are who a device will hear.
    both = evaluation | {"calibration": {"temperature": 9.0}}
    assert calibration_of(both) == calibration
    assert calibration_of({"calibration": {"temperature": 9.0}}) == {"temperature": 9.0}


def test_what_little_speech_is_worth_is_added_and_the_next_file_knows_it(workplace, capsys):
    figures = workplace / "short.json"
    assert main(["short", str(workplace / "cv"), "-o", str(figures)]) == 3
    assert "write one with python -m convert cv" in capsys.readouterr().err
    evaluation = json.loads((workplace / "figures.json").read_text())
    figures.write_text(json.dumps(evaluation))
    assert main(["short", str(workplace / "cv"), "--every", "2", "-o", str(figures)]) == 0
    part = json.loads(figures.read_text())["short"]
    assert (part["apart"], part["folds"], part["seeds"]) == ("speaker", 2, [3])
    for row in part["rows"]:
        assert row["pieces"] + row["refused"] <= 24 and row["pieces"] > 0
        assert row["after"]["said"] <= row["before"]["said"] + 1e-9
    [fold, *_] = sorted((workplace / "cv").glob("fold-*"))
    made = ["-o", str(workplace / "short.tflite"), "--fine-tune", "0", "--evaluation", str(figures)]
    assert main([str(fold), *made]) == 0
    model = Model.load(workplace / "short.tflite")
    assert model.shortness == Shortness(part["full_s"], part["exponent"])
    assert "## Little speech" in model.card and f"min(1, s / {part['full_s']:g})" in model.card


def test_the_curve_that_was_put_in_is_found_and_nobody_judges_their_own():
    rng = np.random.default_rng(0)
    pieces, true_curve = Pieces(), Shortness(1.5, 0.7)
    for n in range(6000):
        place = n % len(LENGTHS_S)
        logits = rng.normal(0, 3, 4)
        share = true_curve.share(LENGTHS_S[place])
        chances = np.exp(share * logits) / np.exp(share * logits).sum()
        pieces._rows.append(
            (place, LENGTHS_S[place], logits, int(rng.choice(4, p=chances)), f"speaker {n % 5}")
        )
    pieces.gather()
    curve, shares = fit(pieces)
    for length_s in LENGTHS_S:
        assert curve.share(length_s) == pytest.approx(true_curve.share(length_s), abs=0.06)
    # One who is always wrong is judged by what the others say of the curve, and the others are not.
    liar = pieces.group == "speaker 0"
    pieces.true[liar] = pieces.logits[liar].argmin(axis=1)
    _, after = fit(pieces)
    np.testing.assert_array_equal(after[liar], shares[liar])
    assert after[~liar].mean() < shares[~liar].mean()


def test_adapting_subtracts_what_the_product_would():
    model = Model.load()
    rng = np.random.default_rng(0)
    voice = [rng.normal(0, 0.05, 20 * RATE_HZ).astype(np.float32) for _ in range(3)]
    assert [len(each) for each in enrolment(voice, RATE_HZ)] == [20 * RATE_HZ, 10 * RATE_HZ]
    engine = Engine(model)
    shift, leaning = profile_of(engine, voice, any_mood=False)
    slow, none = followed(model, voice)
    # The profile subtracts the whole distance, from plain speech; --adapt a third of that from all speech:
    # half a minute of 1.5.
    between = np.subtract(model.record["reference"]["neutral"], model.record["reference"]["speech"])
    np.testing.assert_allclose(3 * slow[1:6], (shift + between)[1:6], atol=0.05)
    assert not shift[0] and not shift[6:].any()
    assert leaning.any() and not none.any()
    unmoved, leaning = profile_of(engine, voice, any_mood=True)
    assert leaning.any() and not unmoved.any()
    assert not any(part.any() for part in profile_of(engine, [], any_mood=False))


def test_typical_answers_weigh_labels_and_models_alike():
    logits = np.array([[3.0, 1.0], [5.0, 1.0], [0.0, 2.0], [1.0, 4.0]], np.float32)
    owners, true = np.array([0, 0, 1, 2]), np.array([0, 1, 1])
    of_one = typical_logits(logits, owners, true, ["neutral", "sadness"])
    assert of_one == {"speech": [2.25, 2.0], "neutral": [4.0, 1.0]}
    assert set(typical_logits(logits, owners, true, ["anger", "sadness"])) == {"speech"}
    other = {"speech": [0.25, 0.0]}
    assert mean_typical([of_one, other]) == {"speech": [1.25, 1.0]}
    assert mean_typical([]) == {}


def test_a_label_that_swallows_strangers_is_named():
    assert swallowers([0.25] * 4, [0.61, 0.2, 0.1, 0.09], list("abcd")) == ["a"]
    assert swallowers([0.25] * 4, [0.59, 0.2, 0.1, 0.11], list("abcd")) == []


def test_what_halves_the_figure_is_named_unless_it_is_the_last_step_of_noise():
    rows = [
        {"what": what, "float": 0.8, "int8": figure}
        for what, figure in {"as recorded": 0.75, "a": 0.51, "b": 0.49, "noise, 0 dB SNR": 0.3}.items()
    ]
    told = verdict(rows, 4)
    assert told["limit"]["int8"] == pytest.approx(0.5) and told["halved"] == ["b"]


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_keeps_speech_audible_and_is_repeatable(workplace, name):
    t = np.arange(RATE_HZ) / RATE_HZ
    speech = (0.3 * np.sin(2 * np.pi * 500 * t) * np.sin(2 * np.pi * 3 * t)).astype(np.float32)
    once, again = (PERTURBATIONS[name](speech, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(once[0], again[0])
    heard, _ = read_audio(wav(*once), RATE_HZ)
    assert np.isfinite(heard).all() and len(heard) >= RATE_HZ - 1
    level = np.sqrt(np.mean(heard**2)) / np.sqrt(np.mean(speech**2))
    assert level > 0.02 if name.startswith("level −30") else level > 0.06


def test_the_shipped_models_are_those_of_the_list():
    listed = shipped()
    assert sorted(listed) == sorted(path.stem for path in MODELS.glob("*.tflite"))
    assert DEFAULT_MODEL in listed
    for name, entry in listed.items():
        assert entry["recipe"] in recipe_names() and entry["minutes"] > 0
        model = Model.load(name)
        assert (MODELS / f"{name}.md").read_text() == model.card
        assert model.name == name and model.record["training"]["recipe"] == entry["recipe"]
        assert model.record["training"]["seed"] == entry["seed"]
        evaluation = model.record["evaluation"]
        figure = (
            evaluation["uar"]["int8"]
            if "uar" in evaluation
            else evaluation["strangers"]["mean"]["plain"]["uar"]
        )
        assert figure > 1.5 / len(model.labels)


def test_train_shipped_makes_the_same_bytes_twice(workplace, tmp_path, monkeypatch, capsys):
    tiny = (
        LIST.read_text().splitlines()[0]
        + f'\n[tiny]\nrecipe = "emodb-cnn"\nseed = 1\nminutes = 1\nset = {TINY}\n'
    )
    assert tomllib.loads(tiny)["tiny"]["set"] == TINY
    listing = tmp_path / "shipped.toml"
    listing.write_text(tiny)
    monkeypatch.setattr("convert.shipped.LIST", listing)
    monkeypatch.setattr("convert.shipped.EVALUATIONS", tmp_path)
    monkeypatch.setattr("convert.parity.MAX_UAR_LOSS", 0.5)
    figures = tmp_path / "tiny.json"
    figures.write_text((workplace / "figures.json").read_text())
    assert main(["robustness", str(workplace / "cv"), "--every", "12", "-o", str(figures)]) == 0
    made = []
    for runs in ("one", "two"):
        models = tmp_path / f"models-{runs}"
        arguments = ["shipped", "--runs", str(tmp_path / "runs"), "--models", str(models)]
        assert main([*arguments, "--list"]) == 0
        assert not models.exists() or runs == "two"
        assert main(arguments) == 0
        made.append(unpack(models / "tiny.tflite"))
        made[-1][1]["training"].pop("git_commit")  # whoever works in this checkout may commit meanwhile
        assert (models / "tiny.md").read_text() == Model.load(models / "tiny.tflite").card
        out = capsys.readouterr().out
        assert "1 models, about 1 minutes of one thread: tiny" in out and "sha256 of the graph" in out
        (tmp_path / "runs").rename(tmp_path / f"runs-{runs}")  # trained anew, not only converted
    assert made[0] == made[1]
    assert "## Robustness" in (models / "tiny.md").read_text()
    again = ["shipped", "--runs", str(tmp_path / "runs-two"), "--models", str(models)]
    assert main(again) == 0
    assert capsys.readouterr().out.count("(as before)") == 2  # the very bytes, converted a second time
    assert main(["shipped", "tyny"]) == 5
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_an_evaluation_that_is_none_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(evaluate.ModelError, match="no evaluation"):
        evaluate.read_evaluation(Path(tmp_path / "bad.json"))
