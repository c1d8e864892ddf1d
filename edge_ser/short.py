"""Short audio: what breaks off in the midst of a sound, and how much speech an answer rests on.

Silence behind the end of speech says that it has ended, and models for a window know that from training.
Where speech goes on, as in the first second of an utterance that is heard live, or is cut off, that would be
wrong: what is there is heard again until the window is full. But a network that hears a syllable six times
is as sure as of three seconds of speech; so its logits count for less, the less speech there was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ser.onset import CHUNK_S, QUIET_DB, Float32, chunk_powers

CHUNKS = 2  # at the end
ENDED_DB = 20.0  # below the loudest chunk: speech has ended


def breaks_off(samples: Float32, rate_hz: int) -> bool:
    """Whether one of the last chunks of ``samples`` [n] is hardly quieter than the loudest.

    >>> breaks_off(np.ones(16000, np.float32), 16000)
    True
    >>> breaks_off(np.repeat(np.float32([1, 0]), [16000, 1024]), 16000)
    False
    """
    chunk = round(CHUNK_S * rate_hz)
    power = chunk_powers(samples[len(samples) % chunk :], chunk)
    return bool(len(power) and power[-CHUNKS:].max() >= power.max() * np.float32(10 ** (-ENDED_DB / 10)) > 0)


def filled(samples: Float32, window: int, least: int, rate_hz: int) -> Float32:
    """``samples`` again and again until they are ``window`` many, where they are fewer than ``least`` and
    break off; otherwise as they are.
    """
    if 0 < len(samples) < least and breaks_off(samples, rate_hz):
        return samples[np.arange(window) % len(samples)]
    return samples


def sounding_s(samples: Float32, rate_hz: int) -> float:
    """Seconds of ``samples`` [n] in which there is sound: chunks that are no further than 25 dB below the
    loudest. What is shorter than a chunk counts whole.

    >>> sounding_s(np.repeat(np.float32([0, 1, 0]), [16384, 8192, 16384]), 16000)
    0.512
    """
    chunk = round(CHUNK_S * rate_hz)
    power = chunk_powers(samples[: len(samples) // chunk * chunk], chunk)
    if not len(power):
        return len(samples) / rate_hz
    loudest = power.max()
    sounding = np.count_nonzero(power >= loudest * np.float32(10 ** (-QUIET_DB / 10))) if loudest > 0 else 0
    return int(sounding) * chunk / rate_hz


@dataclass(frozen=True)
class Shortness:
    """How much a model's logits are worth when little speech was heard, as was measured of it: of ``s``
    seconds that sound, ``(s / full_s) ** exponent`` of their size, and all of it from ``full_s`` on.

    >>> Shortness(full_s=2.0, exponent=1.0).share(0.5)
    0.25
    """

    full_s: float = 1.0
    exponent: float = 0.0

    @classmethod
    def of(cls, entry: Mapping[str, Any] | None) -> Shortness:
        """Of a model's record; without an entry there, everything counts whole."""
        return cls(float(entry["full_s"]), float(entry["exponent"])) if entry else cls()

    def share(self, sounding_s: float) -> float:
        return float(min(1.0, sounding_s / self.full_s) ** self.exponent)
