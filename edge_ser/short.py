"""Short audio that breaks off in the midst of a sound.

Silence behind the end of speech says that it has ended, and models for a window know that from training.
Where speech goes on, as in the first second of an utterance that is heard live, or is cut off, that would be
wrong: what is there is heard again until the window is full.
"""

from __future__ import annotations

import numpy as np

from edge_ser.onset import CHUNK_S, Float32, chunk_powers

CHUNKS = 2  # at the end
QUIET_DB = 20.0  # below the loudest chunk: speech has ended


def breaks_off(samples: Float32, rate_hz: int) -> bool:
    """Whether one of the last chunks of ``samples`` [n] is hardly quieter than the loudest.

    >>> breaks_off(np.ones(16000, np.float32), 16000)
    True
    >>> breaks_off(np.repeat(np.float32([1, 0]), [16000, 1024]), 16000)
    False
    """
    chunk = round(CHUNK_S * rate_hz)
    power = chunk_powers(samples[len(samples) % chunk :], chunk)
    return bool(len(power) and power[-CHUNKS:].max() >= power.max() * np.float32(10 ** (-QUIET_DB / 10)) > 0)


def filled(samples: Float32, window: int, least: int, rate_hz: int) -> Float32:
    """``samples`` again and again until they are ``window`` many, where they are fewer than ``least`` and
    break off; otherwise as they are.
    """
    if 0 < len(samples) < least and breaks_off(samples, rate_hz):
        return samples[np.arange(window) % len(samples)]
    return samples
