"""Real and synthetic speech for the tests: what the operating system carries, and corpora where they are."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

Array = np.ndarray[Any, np.dtype[np.float32]]

ALSA_FOLDER = Path("/usr/share/sounds/alsa")


def _read(path: Path, rate_hz: int) -> Array:
    samples, file_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), file_rate_hz, rate_hz)
    return (np.round(np.clip(mono, -1, 1) * 32767) / 32768).astype(np.float32)  # 16 bit, as recordings are


def _espeak(rate_hz: int) -> Array | None:
    program = shutil.which("espeak-ng")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        text = "I did not expect that at all, and I am so very glad to see you!"
        subprocess.run([program, "-w", str(path), text], check=True)
        spoken = _read(path, rate_hz)
    room = np.random.default_rng(0).normal(
        0, 2e-4, len(spoken)
    )  # a synthesiser's pauses are too quiet to be real
    return (np.round((spoken + room) * 32768) / 32768).astype(np.float32)


@functools.cache
def recordings(rate_hz: int = 16000) -> dict[str, Array]:
    """name -> samples: alsa-utils' voice, espeak-ng, and a few corpus files when EDGE_SER_CORPORA is set."""
    found = {path.stem: _read(path, rate_hz) for path in sorted(ALSA_FOLDER.glob("*_*.wav"))}
    spoken = _espeak(rate_hz)
    if spoken is not None:
        found["espeak"] = spoken
    corpora = os.environ.get("EDGE_SER_CORPORA")
    if corpora:
        for corpus in ("emodb", "ravdess", "urdu"):
            for path in sorted(Path(corpora, corpus).glob("*/*.flac"))[::97][:5]:
                found[f"{corpus} {path.stem}"] = _read(path, rate_hz)
    return found
