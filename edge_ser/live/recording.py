"""``--record``: the sound that was heard, as a WAV file of limited size. Nothing else ever stores audio."""

from __future__ import annotations

import logging
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError

log = logging.getLogger(__name__)


class Recorder:
    """Writes 16-bit mono WAV to ``path`` until ``max_mb`` (10^6 bytes) or a full disk; says both aloud."""

    def __init__(self, path: Path, rate_hz: int, max_mb: float) -> None:
        if max_mb <= 0:
            raise ConfigError(f"--record-max-mb {max_mb}: give a size above 0")
        try:
            self._file: wave.Wave_write | None = wave.open(path.open("wb"), "wb")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(
                f"--record {path}: {error.strerror}; choose a place that can be written"
            ) from error
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate_hz)
        self._path = path
        self._samples_left = int(max_mb * 1e6) // 2
        self.banner = f"RECORDING SOUND to {path}, at most {max_mb:g} MB"
        log.warning("%s", self.banner)

    def write(self, samples: NDArray[np.float32]) -> None:
        if self._file is None:
            return
        whole = np.clip(np.rint(samples[: self._samples_left] * 32768), -32768, 32767).astype("<i2")
        try:
            self._file.writeframesraw(whole.tobytes())
        except OSError as error:
            self._end(f"{error.strerror}")
            return
        self._samples_left -= len(whole)
        if self._samples_left <= 0:
            self._end("the size limit is reached")

    def close(self) -> None:
        self._end("the end")

    def _end(self, reason: str) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        log.warning("recording to %s stopped: %s", self._path, reason)
        try:
            file.close()
        except OSError as error:
            log.warning("recording to %s: the header could not be finished: %s", self._path, error)
