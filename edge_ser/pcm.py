"""Little-endian PCM bytes to float32 samples, full scale at ±1.0.

Integers are divided by two to the power of (bits - 1), so the most negative one is exactly -1.0 and no value
can wrap. Eight-bit PCM is unsigned with silence at 128, as in WAV files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_BYTES = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}


def decode(data: bytes, sample_format: str) -> NDArray[np.float32]:
    """Samples of ``data`` (a whole number of them) as float32; doubles beyond float32's range become
    infinite.
    """
    if sample_format == "s24le":
        triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        quads = np.zeros((len(triples), 4), np.uint8)
        quads[:, 1:] = triples  # the sample in the upper three bytes of an int32 keeps its sign
        return integers_to_float(quads.view("<i4")[:, 0])
    if sample_format in ("f32le", "f64le"):
        values = np.frombuffer(data, "<f4" if sample_format == "f32le" else "<f8")
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float32)
    dtype = {"u8": "u1", "s16le": "<i2", "s32le": "<i4"}[sample_format]
    return integers_to_float(np.frombuffer(data, dtype))


def integers_to_float(values: NDArray[Any]) -> NDArray[np.float32]:
    """uint8, int16 or int32 samples of any shape, scaled by their own type's range."""
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(128.0)) * np.float32(2.0**-7)
    return values.astype(np.float32) * np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
