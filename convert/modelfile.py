"""Writes the model file: graph bytes, then a zip archive with edge_ser.json, labels.txt, card.md and
golden/*.

The reader is edge_ser/model.py; docs/formats.md has the fields. The same input gives the same bytes: members
are sorted, carry no clock and are compressed by the one level of zlib.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import ModelError

SCHEMA = 1
RECORD, LABELS, CARD = "edge_ser.json", "labels.txt", "card.md"
GOLDEN = {"audio": "golden/audio.s16", "features": "golden/features.i8", "scores": "golden/scores.i8"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold


@dataclass(frozen=True)
class Golden:
    """What a device must reproduce: audio int16 [samples] at the model's rate, features, outputs."""

    audio: npt.NDArray[np.int16]
    features: npt.NDArray[np.int8]
    scores: npt.NDArray[np.int8]


def pack(graph: bytes, record: Mapping[str, Any], card: str, golden: Golden | None = None) -> bytes:
    """The bytes of a model file; fills the record's ``schema``, ``graph`` size and digest, and ``golden``."""
    filled = {
        **record,
        "schema": SCHEMA,
        "graph": {
            **record.get("graph", {}),
            "bytes": len(graph),
            "sha256": hashlib.sha256(graph).hexdigest(),
        },
    }
    members = {CARD: card.encode(), LABELS: "".join(f"{label}\n" for label in record["labels"]).encode()}
    if golden is not None:
        filled["golden"] = GOLDEN
        members[GOLDEN["audio"]] = golden.audio.astype("<i2").tobytes()
        members[GOLDEN["features"]] = golden.features.astype(np.int8).tobytes()
        members[GOLDEN["scores"]] = golden.scores.astype(np.int8).tobytes()
    members[RECORD] = to_json(filled).encode()
    file = io.BytesIO(graph)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whatever writes it
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return file.getvalue()


def unpack(path: Path) -> tuple[bytes, dict[str, Any]]:
    """(graph bytes, record) of a model file, for tools that rewrite one; no check beyond reading it."""
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            record: dict[str, Any] = json.loads(archive.read(RECORD))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(f"{path}: not an edge_ser model file ({error}); convert a run into one") from None
    return data[: record["graph"]["bytes"]], record


def to_json(record: Mapping[str, Any]) -> str:
    """JSON as it stands in the file: floats in their shortest exact form, a list of numbers on one line."""
    text = json.dumps(_plain(record), ensure_ascii=False, indent=1, allow_nan=False)
    return (
        re.sub(r"\[[\s\d.,eE+-]*\]", lambda match: "".join(match.group().split()).replace(",", ", "), text)
        + "\n"
    )


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as Python's own, float32 in the fewest digits that name it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.integer):
        return int(value)
    return value
