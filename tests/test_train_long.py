"""Recipes on the real corpora, each for as long as it takes to see that it learns."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_ser.errors import ConfigError
from train.recipe import load_recipe
from train.selection import select
from train.task import Task, run_task

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("EDGE_SER_CORPORA" not in os.environ, reason="EDGE_SER_CORPORA is not set"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
EMODB = [
    "data.corpora=['emodb']",
    "data.labels=['anger', 'boredom', 'disgust', 'fear', 'happiness', 'neutral', 'sadness']",
]
FOUR_ACTORS = {f"ravdess/Actor_{number:02}" for number in range(1, 5)}  # one actor's 60 recordings say little


def uar_of(recipe_name: str, overrides: list[str], speakers: set[str], folder: Path) -> float:
    """UAR on ``speakers`` of one fit on everybody else."""
    recipe = load_recipe(recipe_name, overrides)
    utterances = select(recipe.data).utterances
    train = tuple(each for each in utterances if each.speaker_id not in speakers)
    held_out = tuple(each for each in utterances if each.speaker_id in speakers)
    task = Task(recipe.as_dict(), train, held_out, os.environ["EDGE_SER_CORPORA"], str(folder), 0)
    return float(json.loads((Path(run_task(task)) / "run.json").read_text())["metrics"]["uar"])


def test_the_compact_cnn_recognises_two_strangers_of_emodb(tmp_path: Path) -> None:
    assert uar_of("emodb-cnn", [], {"emodb/09", "emodb/14"}, tmp_path / "run") >= 0.7


@pytest.mark.parametrize(
    ("name", "overrides", "speakers", "least"),
    [
        ("emodb-rnn", ["fit.epochs=4"], {"emodb/09", "emodb/14"}, 0.3),
        ("emodb-gru", ["fit.epochs=20"], {"emodb/09", "emodb/14"}, 0.4),
        ("emodb-causal-cnn", ["fit.epochs=20"], {"emodb/09", "emodb/14"}, 0.4),
        ("savee-spectrogram-cnn2d", [*EMODB, "fit.epochs=10"], {"emodb/09", "emodb/14"}, 0.3),
        ("mfcc-cnn-56k", ["data.corpora=['ravdess', 'tess']", "fit.epochs=12"], FOUR_ACTORS, 0.2),
    ],
)  # fmt: skip
def test_each_recipe_learns_something_that_holds_for_strangers(
    name: str, overrides: list[str], speakers: set[str], least: float, tmp_path: Path
) -> None:
    assert uar_of(name, overrides, speakers, tmp_path / "run") >= least


def test_a_corpus_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="iemocap: no such corpus"):
        select(load_recipe("iemocap-bilstm-attention").data)
