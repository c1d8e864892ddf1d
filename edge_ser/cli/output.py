"""How predictions are written: a line for people, JSON lines or CSV for programs (docs/formats.md)."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Protocol

from edge_ser.prediction import UNCERTAIN, Prediction

NAME_WIDTH = 40
BAR_WIDTH = 20
SEGMENT_BAR_WIDTH = 30


class Writer(Protocol):
    """Gets the predictions in the order of the inputs."""

    def write(self, name: str, prediction: Prediction) -> None:
        """Print one."""
        ...


def make_writer(arguments: Namespace, files: Sequence[str], labels: Sequence[str]) -> Writer:
    """The writer that the command line asks for."""
    if arguments.json:
        return JsonWriter(arguments.segments, arguments.top)
    if arguments.csv:
        return CsvWriter(arguments.segments, labels)
    return TextWriter(arguments.segments, arguments.top or 3, files)


class TextWriter:
    """A line a recording; on a terminal with a bar, and colour unless NO_COLOR is set (https://no-color.org)."""

    def __init__(self, segments: bool, top: int, files: Sequence[str]) -> None:
        self._segments, self._top = segments, top
        self._width = min(NAME_WIDTH, max((len(_shown(name)) for name in files), default=0))
        self._bars = sys.stdout.isatty()
        self._colour = self._bars and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def write(self, name: str, prediction: Prediction) -> None:
        line = f"{_shown(name):{self._width}}  {prediction.duration_s:6.2f} s  "
        print((line + self._verdict(prediction, BAR_WIDTH)).rstrip())
        if self._segments:
            for part in prediction.segments:
                times = f"{part.start_s:8.2f} – {part.end_s:7.2f} s  "
                print(("  " + times + self._verdict(part, SEGMENT_BAR_WIDTH)).rstrip())
        for note in prediction.notes:
            print(f"  note: {note}")

    def _verdict(self, said: Any, width: int) -> str:
        """Label, probability and bar, then the runners-up."""
        ranked = sorted(said.scores.items(), key=lambda pair: -pair[1])
        if not ranked:
            return str(said.label)
        text = f"{said.label:9} {said.probability:6.1%}"
        if self._bars:
            from edge_ser.bars import bar

            text += "  " + bar(said.probability, width)
        others = ranked[: self._top] if said.label == UNCERTAIN else ranked[1 : self._top]
        return (
            self._paint(text, said.label)
            + "  "
            + ", ".join(f"{label} {share:.1%}" for label, share in others)
        )

    def _paint(self, text: str, label: str) -> str:
        if not self._colour:
            return text
        from edge_ser.bars import paint

        return paint(label, text)


class JsonWriter:
    """An object a line."""

    def __init__(self, segments: bool, top: int | None) -> None:
        from json import dumps

        self._dumps, self._segments, self._top = dumps, segments, top

    def write(self, name: str, prediction: Prediction) -> None:
        record = {"v": 1, "type": "prediction", "file": name, **prediction.as_dict()}
        parts = [segment.as_dict() for segment in prediction.segments] if self._segments else []
        for entry in [record, *parts]:
            if self._top:
                best = sorted(entry["scores"].items(), key=lambda pair: -pair[1])
                entry["scores"] = dict(best[: self._top])
        if self._segments:
            record["segments"] = parts
        print(self._dumps(record, ensure_ascii=False), flush=True)


class CsvWriter:
    """A header, then a line a recording, or a line a segment."""

    def __init__(self, segments: bool, labels: Sequence[str]) -> None:
        import csv

        self._segments, self._labels = segments, list(labels)
        self._fields = ["start_s", "end_s"] if segments else ["duration_s"]
        self._fields += ["label", "probability"]
        self._write = csv.writer(sys.stdout, lineterminator="\n").writerow
        self._write(["file", *self._fields, *self._labels, *([] if segments else ["notes"])])

    def write(self, name: str, prediction: Prediction) -> None:
        for said in prediction.segments if self._segments else [prediction]:
            entry = said.as_dict()
            scores = [entry["scores"].get(label, "") for label in self._labels]
            notes = [] if self._segments else ["; ".join(entry["notes"])]
            self._write([name, *(entry[field] for field in self._fields), *scores, *notes])


def _shown(name: str) -> str:
    """The end of a path that is too long for its column."""
    name = "stdin" if name == "-" else name
    return name if len(name) <= NAME_WIDTH else "…" + name[1 - NAME_WIDTH :]
