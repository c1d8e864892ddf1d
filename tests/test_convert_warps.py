"""From a recipe with warps to a model file: everything on the way hears what the device will hear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from spoken_corpus import TINY, speak_emodb

from edge_ser.classifier import Classifier, cut_windows
from edge_ser.engine import Engine
from edge_ser.errors import ConfigError
from edge_ser.model import Model
from edge_ser.warp import warp_matrices
from train.backend import configure

configure()

from convert import parity  # noqa: E402
from convert.__main__ import main  # noqa: E402
from convert.measured import measured_section  # noqa: E402
from convert.modelfile import unpack  # noqa: E402
from convert.pipeline import Settings, convert  # noqa: E402
from convert.robustness import Fold  # noqa: E402
from convert.run import read_run  # noqa: E402
from train.dataset import Normalisation  # noqa: E402
from train.features import Extractor  # noqa: E402
from train.fit import fit  # noqa: E402
from train.predict import Predictor, read_scores, softmax  # noqa: E402
from train.recipe import deciding, load_recipe, recipe_from_dict  # noqa: E402
from train.selection import select  # noqa: E402

WARPS = [-0.3, -0.25]  # far more than helps, so that answers change
RECIPE = [*TINY, f"input.warps={WARPS}", "fit.epochs=16", "optimizer.learning_rate=1e-2"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def folder(corpora, tmp_path_factory):
    """A cross-validation of one fold, speaker 08 held out, that convert cv has evaluated; its model file."""
    folder = tmp_path_factory.mktemp("warped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.features.CACHE", folder / "cache")
        patch.setenv("EDGE_SER_CORPORA", str(corpora))
        patch.setenv("EDGE_SER_TFLITE_PYTHON", "/nonexistent")
        patch.setattr(parity, "MIN_AGREEMENT", 0.5)
        patch.setattr(parity, "MAX_UAR_LOSS", 0.5)
        recipe = load_recipe("emodb-cnn", RECIPE)
        utterances = select(recipe.data, corpora).utterances
        sides = [[each for each in utterances if (each.speaker == "08") is out] for out in (False, True)]
        fit(recipe, *sides, corpora, folder / "cv" / "fold-01-seed-0", quiet=True)
        cv = {"folds": [{"folder": "fold-01-seed-0"}], "protocol": "leave one speaker out", "seeds": [0]}
        cv |= {"recipe_name": "emodb-cnn", "git_commit": "", "manifest_digest": "", "labels": []}
        (folder / "cv" / "cv.json").write_text(json.dumps(cv))
        figures = folder / "figures.json"
        assert main(["cv", str(folder / "cv"), "-o", str(figures), "--fine-tune", "0"]) == 0
        run = str(folder / "cv" / "fold-01-seed-0")
        path = str(folder / "m.tflite")
        assert main([run, "-o", path, "--fine-tune", "0", "--evaluation", str(figures)]) == 0
        yield folder


@pytest.fixture
def run(folder):
    return read_run(folder / "cv" / "fold-01-seed-0")


def by_hand(run, corpora: Path, utterance) -> np.ndarray:
    """Float logits [1 + warps, windows, classes] of an utterance."""
    extractor = Extractor(recipe_from_dict(run.record["recipe"], ""), corpora, cache=None)
    windows = extractor.windows(extractor.samples(utterance))
    ways = [windows, *(windows @ each for each in warp_matrices(extractor.options, WARPS))]
    network = run.load_model()
    return np.stack([np.asarray(network((way - run.mean) / run.std)) for way in ways])


def test_what_training_predicts_is_the_mean_over_the_hearings_of_each_window(folder, run, corpora):
    scores = read_scores(run.folder / "predictions.csv")
    recipe = recipe_from_dict(run.record["recipe"] | {"input": {"length_s": 1.0, "hop_s": 0.5}}, "plain")
    extractor, normalise = Extractor(recipe, corpora, cache=None), Normalisation(run.mean, run.std)
    plain = Predictor(recipe, extractor, normalise, run.held_out).scores(run.load_model())
    several = 0
    for utterance, row, once in zip(run.held_out, scores, plain, strict=True):
        logits = by_hand(run, corpora, utterance)
        several += logits.shape[1] > 1
        np.testing.assert_allclose(row, softmax(logits.mean(axis=0)).mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(once, softmax(logits[0]).mean(axis=0), atol=1e-4)
    assert several and np.abs(scores - plain).max() > 0.01
    assert (scores.argmax(axis=1) != plain.argmax(axis=1)).any()


def test_the_gate_compares_what_the_device_hears(folder, run, corpora):
    conversion = convert(run, Settings(corpora, fine_tune=0))
    model = Model.load(folder / "m.tflite")
    assert model.warps == WARPS and model.graph == conversion.compiled.flatbuffer
    engine, extractor = Engine(model), conversion.source.extractor
    ints, floats = iter(conversion.logits.ints), iter(conversion.logits.floats)
    lift = np.float32(conversion.compiled.output.lift)  # a constant that no softmax sees
    apart = []
    for utterance in conversion.checked:
        for wanted in by_hand(run, corpora, utterance).mean(axis=0):
            np.testing.assert_allclose(next(floats), wanted, atol=1e-3)
        for _, samples in cut_windows([extractor.samples(utterance)], model.window_samples, 8000):
            apart.append(np.abs(next(ints) - (engine.window(samples) - lift)).max())
    assert next(ints, None) is None and next(floats, None) is None
    assert max(apart) <= 1.01 * model.record["output"]["scale"] and np.mean(np.array(apart) < 1e-5) > 0.7


def test_warps_leave_the_graph_as_it_is(folder, run, corpora):
    record = json.loads(json.dumps(run.record))
    record["recipe"]["input"]["warps"] = []
    plain = convert(type(run)(run.folder, record, run.train, run.held_out), Settings(corpora, fine_tune=0))
    assert plain.compiled.flatbuffer == Model.load(folder / "m.tflite").graph


def test_the_figures_of_the_folds_and_of_robustness_are_of_the_warped_hearing(folder, run, corpora):
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["folds_parity"]["chain_agreement"] == 1.0
    fold = Fold(run, Classifier(str(run.folder / "int8.tflite")), corpora, 1)
    assert fold.classifier.model.warps == WARPS
    by_float, _, _ = fold.hear("as recorded")
    logits = [by_hand(run, corpora, each) for each in run.held_out]
    warped, plain = (
        [int(softmax(each).mean(axis=0).argmax()) for each in ways]
        for ways in ([each.mean(axis=0) for each in logits], [each[0] for each in logits])
    )
    assert by_float.tolist() == warped != plain


def test_the_card_says_it_and_shows_the_cost_of_as_many_runs(folder, tmp_path):
    path, evaluation = folder / "m.tflite", tmp_path / "e.json"
    model = Model.load(path)
    assert "heard 3 times, as it is and with the frequency axis times 0.741, 0.779" in model.card
    assert main(["measure", str(path), "-o", str(evaluation), "--min-secs", "0"]) == 0
    measured = json.loads(evaluation.read_text())["measured"]
    assert measured["runs"] == 3
    assert [row[0] for row in measured["rows"]][1] == "network, 3 runs, a window of 1 s"
    record = unpack(path)[1] | {"evaluation": {"measured": measured}}
    assert "network, 3 runs" in measured_section(record)
    assert "not measured" in measured_section(record | {"warps": []})


def test_cached_features_are_those_of_the_recipe_without_warps(folder, run, corpora):
    entries = [
        Extractor(load_recipe("emodb-cnn", options), corpora, folder)._entry(run.train[0], "windows", 0)
        for options in (TINY, RECIPE, [*TINY, "input.hop_s=0.25"])
    ]
    assert entries[0] == entries[1] != entries[2]


def test_a_run_of_before_there_were_warps_is_that_of_the_same_recipe_without_any():
    recipe, warped = (load_recipe("emodb-cnn", options).as_dict() for options in (TINY, RECIPE))
    before = json.loads(json.dumps(recipe))
    del before["input"]["warps"]
    assert deciding(before) == deciding(recipe) != deciding(warped)


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("emodb-cnn", ["input.warps=[0.0]"], "input.warps must be at most 8 different numbers"),
        ("emodb-cnn", ["input.warps=[0.5]"], "input.warps must be at most 8 different numbers"),
        ("emodb-cnn", ["input.warps=['a']"], "warps must be float, not 'a'"),
        ("emodb-cnn", ["input.warps=[0.1]", "frontend.deltas=1"], "warps need deltas = 0"),
        ("emodb-cnn", ["input.warps=[0.1]", "frontend.lifter=22"], "warps need lifter = 0.0"),
        ("emodb-cnn", ["input.warps=[0.1]", "frontend.preset=kaldi"], "warps need preset = 'librosa'"),
        ("emodb-cnn", ["input.warps=[0.1]", "input.cut=whole"], "input.warps is for input.cut = 'window'"),
        ("emodb-gru", ["input.warps=[0.1]", "input.cut=window"], "and models of whole windows"),
    ],
)
def test_recipes_whose_windows_cannot_be_warped_are_refused(name, overrides, words):
    with pytest.raises(ConfigError) as caught:
        load_recipe(name, overrides)
    assert words in str(caught.value) and "\n" not in str(caught.value)
