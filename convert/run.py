"""A run folder of ``train``: what was trained, on whom, and the model itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.ir import Float
from edge_ser.errors import ConfigError, ModelError
from train.utterance import Utterance, read_utterances

SCHEMA = 1
_NEEDED = {"recipe", "recipe_name", "seed", "labels", "frontend", "input", "window", "model"}


@dataclass(frozen=True)
class Run:
    """``record`` is run.json; ``mean`` and ``std`` [features] standardise the front end's features."""

    folder: Path
    record: dict[str, Any]
    train: list[Utterance]
    held_out: list[Utterance]

    @property
    def labels(self) -> list[str]:
        return list(self.record["labels"])

    @property
    def step(self) -> bool:
        return bool(self.record["model"]["form"] == "step")

    @property
    def mean(self) -> Float:
        return np.array(self.record["input"]["mean"], np.float32)

    @property
    def std(self) -> Float:
        return np.array(self.record["input"]["std"], np.float32)

    def load_model(self) -> Any:
        """The Keras model, with the layers that ``train`` defines."""
        from train.models import load_model

        path = self.folder / "model.keras"
        if not path.is_file():
            raise ModelError(f"{path}: no such file; train the recipe again")
        try:
            return load_model(path)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{path}: not a Keras 3 model ({str(error).splitlines()[0][:160]})") from None


def read_run(folder: Path) -> Run:
    """Read a run folder; ModelError when it is not one, or one of another schema."""
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(
            f"{folder}: not a run folder (no run.json); train one with python -m train fit"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); train the recipe again") from None
    if record.get("schema") != SCHEMA:
        raise ModelError(
            f"{path}: schema {record.get('schema')!r}, this converter reads {SCHEMA}; train it again"
        )
    missing = sorted(_NEEDED - set(record))
    if missing:
        raise ModelError(f"{path}: {missing[0]!r} is missing; train the recipe again")
    _check_input(path, record)
    try:
        return Run(
            folder, record, read_utterances(folder / "train.csv"), read_utterances(folder / "held_out.csv")
        )
    except (OSError, ConfigError) as error:
        raise ModelError(
            f"{folder}: lists of utterances are damaged ({error}); train the recipe again"
        ) from None


def _check_input(path: Path, record: dict[str, Any]) -> None:
    entry = record["input"]
    mean, std = np.array(entry["mean"], np.float64), np.array(entry["std"], np.float64)
    if mean.shape != (entry["features"],) or std.shape != mean.shape:
        raise ModelError(
            f"{path}: mean and std do not have {entry['features']} features; train the recipe again"
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ModelError(f"{path}: mean or std is not finite and positive; train the recipe again")
    silence = record["recipe"].get("input", {}).get("silence", "keep")
    if silence == "remove":
        raise ModelError(
            f"{path}: trained with silence removed, which the device does not do; use silence = 'keep'"
        )
