"""The committed figures that docs/models.md is made of (their sources: benchmarks/models_report.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.evaluate import EVALUATIONS
from edge_ser.model import MODELS
from train.splits import SPEAKER_DEPENDENT

HOME = Path(__file__).resolve().parent.parent
RESULTS = HOME / "docs" / "results"
NAMES = {"emodb": "EmoDB", "ravdess": "RAVDESS"}
PROTOCOLS = {"apart": "speakers apart", "mixed": "speakers mixed", "own": "its own splits"}
Record = dict[str, Any]


def read(path: Path) -> Record:
    """The JSON there; empty where there is none."""
    record: Record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record


def evaluations() -> dict[str, dict[str, Record]]:
    """NAME -> protocol ("apart", "mixed") -> evaluation."""
    found: dict[str, dict[str, Record]] = {}
    for path in sorted(EVALUATIONS.glob("*.json")):
        evaluation = read(path)
        if "uar" in evaluation or "strangers" in evaluation:
            protocol = "mixed" if SPEAKER_DEPENDENT in evaluation.get("protocol", "") else "apart"
            found.setdefault(path.stem.removesuffix("-random"), {})[protocol] = evaluation
    return found


def size_kb(name: str, evaluation: Record) -> float | None:
    """Kilobytes of the file that ships, or of a fold's."""
    path = MODELS / f"{name}.tflite"
    bytes_ = path.stat().st_size if path.is_file() else evaluation.get("file_bytes")
    return bytes_ / 1000 if bytes_ else None


def corpus_of(by_protocol: dict[str, Record]) -> str:
    """The one corpus that an evaluation is of; "" where it is of several."""
    corpora = {corpus for evaluation in by_protocol.values() for corpus in evaluation.get("per_corpus", {})}
    return corpora.pop() if len(corpora) == 1 else ""
