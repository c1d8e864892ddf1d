"""A corpus described by a ``manifest.csv`` beside its audio: the way in for recordings of one's own.

Required columns: path (relative to the manifest), speaker, emotion. Optional: corpus, gender, language,
intensity (or intensity_if_known), valence, arousal, dominance, text_id (or utterance_text_id), style,
duration_s, sha256 (or sha256_of_original); further columns are ignored.
"""

from __future__ import annotations

import csv
from pathlib import Path

from edge_ser.errors import ConfigError
from train.corpora.listing import Listing
from train.naming import nearest
from train.utterance import Utterance

REQUIRED = ("path", "speaker", "emotion")
ALIASES = {"intensity": "intensity_if_known", "text_id": "utterance_text_id", "sha256": "sha256_of_original"}


def read(folder: Path) -> Listing:
    """Read FOLDER/manifest.csv; rows whose audio is missing, or that lack a required value, are listed as
    skipped.
    """
    path = folder / "manifest.csv"
    listing = Listing([])
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        for name in REQUIRED:
            if name not in columns:
                raise ConfigError(f"{path}: column {name!r} is missing{nearest(name, columns)}")
        for number, row in enumerate(reader, start=2):
            made = _make(folder, path, number, row)
            if isinstance(made, str):
                listing.skipped.append((row["path"] or f"line {number}", made))
            else:
                listing.utterances.append(made)
    if not listing.utterances:
        raise ConfigError(
            f"{path}: no usable row; the first problem: {listing.skipped[0] if listing.skipped else 'empty'}"
        )
    return listing


def _make(folder: Path, manifest: Path, number: int, row: dict[str, str]) -> Utterance | str:
    empty = [name for name in REQUIRED if not row[name]]
    if empty:
        return f"line {number} has no {empty[0]}"
    if not (folder / row["path"]).is_file():
        return "the file is missing"

    def text(name: str, default: str = "") -> str:
        return (row.get(name) or row.get(ALIASES.get(name, name)) or default).strip()

    def number_or_none(name: str) -> float | None:
        value = text(name)
        try:
            return float(value) if value else None
        except ValueError:
            raise ConfigError(f"{manifest}: line {number}: {name} is not a number: {value!r}") from None

    return Utterance(
        path=row["path"],
        corpus=text("corpus", folder.name),
        speaker=row["speaker"].strip(),
        gender=text("gender"),
        language=text("language"),
        emotion=row["emotion"].strip(),
        intensity=text("intensity"),
        valence=number_or_none("valence"),
        arousal=number_or_none("arousal"),
        dominance=number_or_none("dominance"),
        text_id=text("text_id"),
        style=text("style"),
        duration_s=number_or_none("duration_s"),
        sha256=text("sha256"),
    )
