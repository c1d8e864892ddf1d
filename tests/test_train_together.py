"""Folds and seeds fitted together as lanes of one program end as they do one by one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from spoken_corpus import TINY, speak_emodb

ROOT = Path(__file__).parents[1]
# 24 utterances to learn from in either fold are two whole batches, so both ways see the very same ones.
OVERRIDES = [*TINY, "fit.epochs=3", "fit.batch_size=12", "evaluation.split=group-kfold", "evaluation.folds=2"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    corpora = speak_emodb(tmp_path_factory.mktemp("corpora"))
    cache = tmp_path_factory.mktemp("cache")
    return {
        **os.environ,
        "EDGE_SER_CORPORA": str(corpora),
        "EDGE_SER_CACHE": str(cache),
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
    }


def cross_validate(
    environment: dict[str, str], folder: Path, recipe: str, *more: str, overrides: list[str] = OVERRIDES
) -> subprocess.CompletedProcess[str]:
    sets = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "train", "cv", recipe, *sets, "-o", str(folder), *more]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def scores(folder: Path) -> np.ndarray:
    with (folder / "predictions.csv").open(newline="") as file:
        return np.array([[float(value) for value in row[4:]] for row in list(csv.reader(file))[1:]])


def test_a_lane_learns_what_a_fit_alone_learns(environment: dict[str, str], tmp_path: Path) -> None:
    seeds = ["--seeds", "0", "1"]
    for name, more in (("together", ["--together", "--workers", "2"]), ("alone", [])):
        done = cross_validate(environment, tmp_path / name, "emodb-cnn", *seeds, *more)
        assert done.returncode == 0, done.stderr
    together, alone = scores(tmp_path / "together"), scores(tmp_path / "alone")
    assert together == pytest.approx(alone, abs=2e-3)
    seed_0, seed_1 = alone[:48], alone[48:]
    assert np.abs(seed_0 - seed_1).max() > 0.02  # else any lane would do
    records = [
        json.loads((tmp_path / name / "fold-01-seed-1" / "run.json").read_text())
        for name in ("together", "alone")
    ]
    for key in ("seed", "recipe", "manifest_digest", "train_digest", "model", "input"):
        assert records[0][key] == records[1][key]


def test_a_recipe_of_whole_utterances_is_padded_to_one_length(
    environment: dict[str, str], tmp_path: Path
) -> None:
    options = "model.options={stem=2, widths=[4,4,4], head=4, units=3, dropout=0.0}"
    overrides = [each for each in OVERRIDES if not each.startswith(("model.", "input.", "frontend."))]
    done = cross_validate(
        environment,
        tmp_path / "steps",
        "emodb-conv-gru",
        "--seeds",
        "0",
        "--together",
        overrides=[*overrides, options, "input.max_frames=320", "teacher={}"],
    )
    assert done.returncode == 0, done.stderr
    found = scores(tmp_path / "steps")
    assert found.shape[0] == 48 and np.allclose(found.sum(axis=1), 1.0, atol=1e-3)


def test_what_cannot_be_fitted_together_is_refused_in_a_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    tensorflow = {**environment, "KERAS_BACKEND": "tensorflow"}
    for given, recipe, reason, overrides in (
        (tensorflow, "emodb-cnn", "--together needs JAX: set KERAS_BACKEND=jax", []),
        (environment, "emodb-rnn", "--together: inputs must have one length", []),
        (environment, "emodb-conv-gru", "--together: emodb-conv-gru has a teacher", []),
        (environment, "emodb-cnn", "--together: emodb-cnn has an encoder", ["encoder.weight=0.5"]),
    ):
        done = cross_validate(given, tmp_path / recipe, recipe, "--together", overrides=overrides)
        assert done.returncode == 5 and reason in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("train:")]) == 1
