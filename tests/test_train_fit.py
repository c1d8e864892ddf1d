"""A fit on spoken data: what it leaves behind, that a kill costs nothing, that the cache is never wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spoken_corpus import LABELS, TINY, speak_emodb

from edge_ser.errors import ConfigError
from train.backend import configure
from train.features import Extractor, window_starts
from train.recipe import Recipe, load_recipe
from train.selection import select
from train.utterance import Utterance, read_utterances

configure()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

from train.dataset import Normalisation, TrainingSet, measure  # noqa: E402
from train.fit import fit  # noqa: E402
from train.models import load_model  # noqa: E402
from train.predict import read_scores, softmax  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("train.features.CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def sides(recipe: Recipe, corpus: Path, speaker: str = "08") -> tuple[list[Utterance], list[Utterance]]:
    utterances = select(recipe.data, corpus).utterances
    train = [each for each in utterances if each.speaker != speaker]
    return train, [each for each in utterances if each.speaker == speaker]


def run_of(corpus: Path, folder: Path, *overrides: str, seed: int = 0) -> dict[str, Any]:
    recipe = load_recipe("emodb-cnn", [*TINY, *overrides])
    train, held_out = sides(recipe, corpus)
    fit(recipe, train, held_out, corpus, folder, seed, quiet=True)
    return dict(json.loads((folder / "run.json").read_text()))


def weights_of(folder: Path) -> list[np.ndarray]:
    return [np.asarray(each) for each in load_model(folder / "model.keras").get_weights()]


def assert_same_run(first: Path, second: Path) -> None:
    for one, other in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first / "predictions.csv").read_text() == (second / "predictions.csv").read_text()
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


BASE = ["fit.epochs=16", "optimizer.learning_rate=1e-2"]


@pytest.fixture(scope="module")
def base(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of BASE, looked at by several tests."""
    folder = tmp_path_factory.mktemp("runs") / "base"
    run_of(corpus, folder, *BASE)
    return folder


def test_a_run_holds_all_that_the_converter_needs(base: Path) -> None:
    run = json.loads((base / "run.json").read_text())
    assert {"run.json", "train.csv", "held_out.csv", "model.keras", "metrics.csv", "predictions.csv"} <= {
        path.name for path in base.iterdir()
    }
    assert run["schema"] == 1
    assert (run["recipe_name"], run["seed"], run["labels"]) == ("emodb-cnn", 0, LABELS)
    assert run["recipe"]["fit"]["epochs"] == 16
    assert run["frontend"]["n_mfcc"] == 12 and run["frontend"]["preset"] == "librosa"
    assert run["input"]["frames"] == 63 and run["input"]["features"] == 12
    assert len(run["input"]["mean"]) == len(run["input"]["std"]) == 12
    assert run["window"] == {"length_s": 1.0, "hop_s": 0.5, "pad": "audio"}
    assert (run["model"]["kind"], run["model"]["form"]) == ("cnn", "window")
    assert run["versions"]["python"] == sys.version.split()[0]
    assert len(read_utterances(base / "train.csv")) == 36
    assert len(read_utterances(base / "held_out.csv")) == 12
    assert run["metrics"]["utterances"] == 12
    with (base / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 17)]
    assert all(0 <= float(row["held_out_uar"]) <= 1 for row in rows)
    assert list((base / "tensorboard").glob("events.*"))
    assert not list(base.parent.glob(".*.partial"))


def test_it_learns_to_tell_the_manners_of_speaking_of_a_stranger(base: Path) -> None:
    assert json.loads((base / "run.json").read_text())["metrics"]["uar"] >= 0.75  # chance is 0.33


def test_the_saved_model_gives_the_predictions_from_standardised_features(corpus: Path, base: Path) -> None:
    run = json.loads((base / "run.json").read_text())
    extractor = Extractor(load_recipe("emodb-cnn", TINY), corpus, cache=None)
    model = load_model(base / "model.keras")
    mean, std = (np.array(run["input"][key], np.float32) for key in ("mean", "std"))
    scores = []
    for utterance in read_utterances(base / "held_out.csv"):
        windows = (extractor.windows(extractor.samples(utterance)) - mean) / std
        scores.append(softmax(np.asarray(model(windows))).mean(axis=0))
    np.testing.assert_allclose(read_scores(base / "predictions.csv"), scores, atol=1e-6)


def test_a_finished_run_is_left_alone(corpus: Path, base: Path) -> None:
    before = (base / "run.json").stat().st_mtime_ns
    run_of(corpus, base, *BASE)
    assert (base / "run.json").stat().st_mtime_ns == before


def test_a_killed_fit_goes_on_to_the_same_result(corpus: Path, base: Path, tmp_path: Path) -> None:
    """A real process is killed while it fits, then the same command is given again: one seed, one result."""
    arguments = [arg for each in [*TINY, *BASE] for arg in ("--set", each)]
    command = [sys.executable, "-m", "train", "fit", "emodb-cnn", "--hold-out", "emodb/08", *arguments]
    command += ["-o", str(tmp_path / "killed")]
    environment = {**os.environ, "EDGE_SER_CORPORA": str(corpus), "EDGE_SER_CACHE": str(tmp_path / "cache")}
    checkpoint = tmp_path / ".killed.partial" / "checkpoint.npz"
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 6/16" in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert checkpoint.is_file() and not (tmp_path / "killed").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "epoch 5/16" not in done.stderr and "epoch 16/16" in done.stderr
    assert_same_run(base, tmp_path / "killed")


def test_another_seed_gives_other_weights(corpus: Path, base: Path, tmp_path: Path) -> None:
    run_of(corpus, tmp_path / "run", "fit.epochs=1", seed=1)
    assert not np.array_equal(weights_of(base)[0], weights_of(tmp_path / "run")[0])


def test_what_was_begun_with_another_recipe_is_not_continued(corpus: Path, tmp_path: Path) -> None:
    recipe = load_recipe("emodb-cnn", TINY)
    from train.run_folder import begin

    train, held_out = sides(recipe, corpus)
    work = begin(tmp_path / "run", recipe, train, held_out, 0, "")
    (work / "checkpoint.npz").write_bytes(b"of the old recipe")
    assert (begin(tmp_path / "run", recipe, train, held_out, 0, "") / "checkpoint.npz").exists()
    other = load_recipe("emodb-cnn", [*TINY, "fit.epochs=4"])
    assert not (begin(tmp_path / "run", other, train, held_out, 0, "") / "checkpoint.npz").exists()


def test_the_cache_gives_what_was_computed(corpus: Path, own_cache: Path) -> None:
    recipe = load_recipe("emodb-cnn", TINY)
    extractor = Extractor(recipe, corpus, own_cache)
    utterance = select(recipe.data, corpus).utterances[0]
    first = extractor.cached(utterance, "windows")
    (entry,) = own_cache.rglob("*.npy")
    np.testing.assert_array_equal(first, extractor.windows(extractor.samples(utterance)))
    np.save(entry, first + 1)
    np.testing.assert_array_equal(extractor.cached(utterance, "windows"), first + 1)


@pytest.mark.parametrize(
    "override",
    ["frontend.n_mels=25", "frontend.window_ms=32.0", "frontend.preset=htk", "frontend.lifter=22.0",
     "frontend.log_floor=1e-3", "input.length_s=1.5", "input.hop_s=0.25", "input.silence=remove"],
)  # fmt: skip
def test_another_option_is_another_cache_entry(corpus: Path, own_cache: Path, override: str) -> None:
    for overrides in (TINY, [*TINY, override]):
        recipe = load_recipe("emodb-cnn", overrides)
        extractor = Extractor(recipe, corpus, own_cache)
        utterance = select(recipe.data, corpus).utterances[0]
        found = extractor.cached(utterance, "windows")
        np.testing.assert_array_equal(found, Extractor(recipe, corpus, None).cached(utterance, "windows"))
    assert len(list(own_cache.rglob("*.npy"))) == 2


def test_another_recording_under_the_same_name_is_another_cache_entry(
    tmp_path: Path, own_cache: Path
) -> None:
    import soundfile

    (tmp_path / "emodb").mkdir()
    recipe = load_recipe("emodb-cnn", [*TINY, "data.labels=['happiness']"])
    path = tmp_path / "emodb" / "03a01Fa.wav"
    found = []
    for level in (0.1, 0.2):
        soundfile.write(path, level * np.sin(np.arange(16000) / 5.0), 16000)
        os.utime(path, (0, 0))
        utterance = Utterance("emodb/03a01Fa.wav", "emodb", "03", "male", "de", "happiness")
        found.append(Extractor(recipe, tmp_path, own_cache).cached(utterance, "frames"))
    assert not np.array_equal(found[0], found[1])


def test_a_rebuilt_front_end_is_another_cache_entry(
    corpus: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("emodb-cnn", TINY)
    utterance = select(recipe.data, corpus).utterances[0]
    Extractor(recipe, corpus, own_cache).cached(utterance, "frames")
    monkeypatch.setattr("train.features.frontend_digest", lambda: "another build")
    Extractor(recipe, corpus, own_cache).cached(utterance, "frames")
    assert len(list(own_cache.rglob("*.npy"))) == 2


@pytest.mark.parametrize(
    ("length", "starts"),
    [(100, [0]), (0, [0]), (101, [0, 1]), (150, [0, 50]), (160, [0, 50, 60]), (250, [0, 50, 100, 150])],
)
def test_windows_start_every_hop_and_the_last_one_ends_with_the_audio(length: int, starts: list[int]) -> None:
    assert window_starts(length, 100, 50) == starts


def test_statistics_are_of_the_training_data_as_the_network_sees_them(corpus: Path) -> None:
    recipe = load_recipe("emodb-cnn", TINY)
    utterances = select(recipe.data, corpus).utterances[:5]
    extractor = Extractor(recipe, corpus, None)
    normalise = measure(extractor, utterances)
    frames = np.concatenate([extractor.cached(each, "windows").reshape(-1, 12) for each in utterances])
    np.testing.assert_allclose(normalise.mean, frames.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(normalise.std, frames.std(axis=0), rtol=1e-4)
    assert isinstance(normalise, Normalisation)


def test_renderings_differ_and_are_the_same_for_every_seed(corpus: Path, own_cache: Path) -> None:
    recipe = load_recipe("emodb-cnn", [*TINY, "fit.renderings=3", "augment.noise.probability=1.0"])
    utterances = select(recipe.data, corpus).utterances[:2]
    first = TrainingSet(recipe, Extractor(recipe, corpus, own_cache), utterances, 0).features
    entries = {path: path.stat().st_mtime_ns for path in own_cache.rglob("*.npy")}
    second = TrainingSet(recipe, Extractor(recipe, corpus, own_cache), utterances, 1).features
    assert entries == {path: path.stat().st_mtime_ns for path in own_cache.rglob("*.npy")}
    assert [len(each) for each in first] == [3, 3]
    for kept, again in zip(first, second, strict=True):
        for one, other in zip(kept, again, strict=True):
            np.testing.assert_array_equal(one, other)
        assert len({each.tobytes() for each in kept}) == 3
    louder = load_recipe("emodb-cnn", [*TINY, "fit.renderings=3", "augment.noise.max_snr_db=6.0"])
    third = TrainingSet(louder, Extractor(louder, corpus, own_cache), utterances, 0).features
    assert not np.array_equal(first[0][0], third[0][0])


def training_set(corpus: Path, name: str, *overrides: str) -> TrainingSet:
    recipe = load_recipe(name, ["data.labels=['anger', 'neutral', 'sadness']", *overrides])
    return TrainingSet(recipe, Extractor(recipe, corpus, None), sides(recipe, corpus)[0], 0)


def test_epochs_differ_and_can_be_had_again_in_any_order(corpus: Path) -> None:
    data = training_set(corpus, "emodb-cnn", *TINY)
    second, first = list(data.batches(1)), list(data.batches(0))
    again = list(data.batches(1))
    assert [len(each.inputs) for each in first] == [8, 8, 8, 8, 4]
    for one, other in zip(second, again, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets["emotion"], other.targets["emotion"])
    assert not np.array_equal(first[0].inputs, second[0].inputs)


def test_bucketed_batches_waste_little_on_padding(corpus: Path) -> None:
    def padding(*overrides: str) -> float:
        batches = list(training_set(corpus, "emodb-gru", "fit.batch_size=6", *overrides).batches(0))
        rows = [row for batch in batches for row in batch.inputs]
        return float(np.mean([np.mean(~row.any(axis=1)) for row in rows]))

    assert padding("fit.bucket=true") < 0.8 * padding("fit.bucket=false")


def test_segments_inherit_the_label_and_silent_ones_have_a_class_of_their_own(corpus: Path) -> None:
    few = ["input.frames=20", "input.hop_frames=10"]
    kept = training_set(corpus, "emodb-rnn", *few)
    removed = training_set(corpus, "emodb-rnn", *few, "input.silence=remove")
    classed = training_set(corpus, "emodb-rnn", *few, "input.silence=class")
    assert 36 < len(removed.units) < len(kept.units) == len(classed.units)
    assert next(iter(kept.batches(0))).targets["emotion"].shape[1] == 3
    targets = np.concatenate([each.targets["emotion"] for each in classed.batches(0)])
    assert targets.shape[1] == 4
    assert 0 < targets[:, 3].sum() < len(targets) / 2
    np.testing.assert_array_equal(targets.sum(axis=1), 1.0)


def test_heads_without_a_truth_do_not_count(corpus: Path) -> None:
    data = training_set(
        corpus, "logmel-multitask", "data.corpora=['emodb']", "data.merge={}", "model.heads.valence=0.5",
        "input.length_s=1.0",
    )  # fmt: skip
    batch = next(iter(data.batches(0)))
    assert batch.targets["gender"].shape[1] == 2 and batch.targets["valence"].shape[1] == 1
    assert batch.weights["gender"].tolist() == [1.0] * len(batch.inputs)
    assert batch.weights["intensity"].tolist() == [0.0] * len(batch.inputs)
    assert batch.weights["valence"].tolist() == [0.0] * len(batch.inputs)


def test_branches_are_asked_for_the_emotion_itself(corpus: Path) -> None:
    data = training_set(
        corpus, "emodb-cnn", *TINY, "model.heads={statistics=1.0}", "fit.class_weights=inverse"
    )
    for batch in data.batches(0):
        np.testing.assert_array_equal(batch.targets["statistics"], batch.targets["emotion"])
        np.testing.assert_array_equal(batch.weights["statistics"], batch.weights["emotion"])


def test_class_and_corpus_weights_have_mean_one(corpus: Path) -> None:
    data = training_set(corpus, "emodb-cnn", *TINY, "fit.class_weights=inverse", "fit.corpus_weights=equal")
    weights = np.concatenate([each.weights["emotion"] for each in data.batches(0)])
    assert weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("emodb-gru", ["model.options.units=8", "model.options.chunk_units=8"]),
        ("emodb-rnn", ["model.options.units=8", "input.silence=class"]),
        ("multi-cnn", ["data.corpora=['emodb']", "data.merge={}", "input.length_s=1.0", "augment={}",
                       "model.options.widths=[4]", "model.options.pools=[[2, 2]]",
                       "model.options.loudest_frames=20", "encoder={}"]),
        ("logmel-multitask", ["data.corpora=['emodb']", "data.merge={}", "input.length_s=1.0",
                              "model.options.widths=[4, 4]", "fit.test_time_shifts=1"]),
        ("iemocap-bilstm-attention", ["data.corpora=['emodb']", "model.options.units=4"]),
    ],
)  # fmt: skip
def test_other_kinds_of_recipe_fit_too(corpus: Path, tmp_path: Path, name: str, overrides: list[str]) -> None:
    common = ["data.labels=['anger', 'neutral', 'sadness']", "fit.epochs=1", "fit.batch_size=16"]
    recipe = load_recipe(name, [*common, *overrides])
    train, held_out = sides(recipe, corpus)
    fit(recipe, train, held_out, corpus, tmp_path / "run", quiet=True)
    scores = read_scores(tmp_path / "run" / "predictions.csv")
    assert scores.shape == (12, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "emodb-cn"], "did you mean 'emodb-cnn'"),
        (["fit", "emodb-cnn", "--hold-out", "emodb/3", "--set", TINY[0]], "did you mean 'emodb/03'"),
        (["fit", "logmel-multitask"], "no such corpus"),
        (["cross", "emodb-cnn", "--train", "emodb", "--test", "emodb"], "leak: corpus emodb"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: list[str], words: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from train.__main__ import main

    monkeypatch.setenv("EDGE_SER_CORPORA", str(corpus))
    status = main([*arguments, "-o", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert status == ConfigError.exit_status, said
    errors = [line for line in said.splitlines() if line.startswith("train: ")]
    assert len(errors) == 1 and words in errors[0], said
    assert not (tmp_path / "run").exists()
