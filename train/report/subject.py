"""What a report is about: one run with held-out speakers, or all folds of a cross-validation."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from train.arrays import Labels, Scores


@dataclass(frozen=True)
class Subject:
    """Figures, predictions and learning curves of a run or a cross-validation."""

    name: str
    folder: Path
    labels: list[str]
    protocol: str
    description: str
    metrics: dict[str, Any]  # of train.metrics.evaluate; empty for a run without held-out utterances
    parameters: int | None
    true: Labels
    scores: Scores
    runs: list[Path]  # the run itself, or the run of each fold

    @property
    def dependent(self) -> bool:
        """Whether speakers are shared between training and test data."""
        return "speaker-dependent" in self.protocol

    def curves(self, column: str) -> NDArray[np.float64]:
        """[runs, epochs] of a column of metrics.csv, cut to the shortest; empty where no run has it."""
        found = [curve for curve in (_column(run / "metrics.csv", column) for run in self.runs) if curve]
        shortest = min((len(curve) for curve in found), default=0)
        return np.array([curve[:shortest] for curve in found], dtype=np.float64)


def load_subject(folder: Path) -> Subject:
    """Read a run's or a cross-validation's folder. Raises ConfigError when it is neither."""
    if (folder / "cv.json").is_file():
        cv = json.loads((folder / "cv.json").read_text(encoding="utf-8"))
        runs = [folder / fold["folder"] for fold in cv["folds"]]
        true, scores = _predictions(folder / "predictions.csv", 3, 4, cv["labels"])
        first = json.loads((runs[0] / "run.json").read_text(encoding="utf-8"))
        return Subject(
            cv["recipe_name"], folder, cv["labels"], cv["protocol"], cv["recipe"]["description"],
            cv["metrics"], first["model"].get("parameters"), true, scores, runs,
        )  # fmt: skip
    if (folder / "run.json").is_file():
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        true, scores = _predictions(folder / "predictions.csv", 3, 5, run["labels"])
        protocol = (
            "one run, held-out utterances" if run["metrics"] else "one run on all data, nothing held out"
        )
        return Subject(
            run["recipe_name"], folder, run["labels"], protocol, run["recipe"]["description"], run["metrics"],
            run["model"].get("parameters"), true, scores, [folder],
        )  # fmt: skip
    raise ConfigError(f"{folder}: neither a run (run.json) nor a cross-validation (cv.json)")


def _predictions(path: Path, emotion: int, first_score: int, labels: list[str]) -> tuple[Labels, Scores]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    true = np.array([labels.index(row[emotion]) for row in rows], dtype=np.int64)
    scores = np.array([[float(value) for value in row[first_score:]] for row in rows], dtype=np.float64)
    return true, scores.reshape(len(rows), len(labels))


def _column(path: Path, name: str) -> list[float]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file) if name in row]
