"""Recordings as the device itself reads them, without the remarks it makes about them."""

from __future__ import annotations

from pathlib import Path

from edge_ser import audio
from train.arrays import Samples


def read_audio(path: Path, rate_hz: int) -> Samples:
    """Read ``path`` as one channel of float32 samples at ``rate_hz``. Raises AudioError."""
    samples, _ = audio.read_audio(path, rate_hz)
    return samples
