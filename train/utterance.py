"""One labelled recording, and lists of them as CSV files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edge_ser.errors import ConfigError


@dataclass(frozen=True)
class Utterance:
    """One recording of one speaker and what is known about it; an unknown text is "", an unknown number None.

    ``path`` is relative to the root of the corpora, so that a list means the same on another machine.
    Dimensions are in the corpus's own scale (IEMOCAP: 1 to 5). ``speaker`` is unique within its corpus only.
    """

    path: str
    corpus: str
    speaker: str
    gender: str  # "female", "male" or ""
    language: str  # ISO 639-1
    emotion: str
    intensity: str = ""  # "low", "normal", "medium", "strong" or ""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    text_id: str = ""
    style: str = ""  # "scripted", "improvised" or ""
    duration_s: float | None = None
    sha256: str = ""  # of the published original, or of the file itself; "" until it has been read

    @property
    def speaker_id(self) -> str:
        """The speaker's name across corpora, as CORPUS/SPEAKER."""
        return f"{self.corpus}/{self.speaker}"


COLUMNS = [field.name for field in fields(Utterance)]
_NUMBERS = {"valence", "arousal", "dominance", "duration_s"}


def write_utterances(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a list of utterances as CSV with one column per field of :class:`Utterance`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for utterance in utterances:
            writer.writerow({key: "" if value is None else value for key, value in asdict(utterance).items()})


def read_utterances(path: Path) -> list[Utterance]:
    """Read what :func:`write_utterances` wrote. Raises ConfigError when a column is missing or a number is
    not one.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ConfigError(
                f"{path}: column {missing[0]!r} is missing; write the list with train.utterance"
            )
        return [_from_row(path, row) for row in reader]


def _from_row(path: Path, row: dict[str, str]) -> Utterance:
    values: dict[str, str | float | None] = {}
    for name in COLUMNS:
        if name not in _NUMBERS:
            values[name] = row[name]
        elif not row[name]:
            values[name] = None
        else:
            try:
                values[name] = float(row[name])
            except ValueError:
                raise ConfigError(f"{path}: {name} of {row['path']} is not a number: {row[name]!r}") from None
    return Utterance(**values)  # type: ignore[arg-type]


def manifest_digest(utterances: Sequence[Utterance]) -> str:
    """SHA-256 over every field of every utterance, in the order of their paths: equal lists, equal digest."""
    digest = hashlib.sha256()
    for utterance in sorted(utterances, key=lambda each: (each.corpus, each.path)):
        digest.update(repr(tuple(asdict(utterance).values())).encode())
    return digest.hexdigest()
