"""Where somebody speaks, by energy: enough for clean studio recordings, which is where recipes ask for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.arrays import Samples

BELOW_PEAK_DB = 40.0
BLOCK_S = 0.01
HANGOVER_BLOCKS = 10


def speech_blocks(samples: Samples, rate_hz: int) -> NDArray[np.bool_]:
    """One bool per whole block of 10 ms: within 40 dB of the loudest block, or within 100 ms of such a block.

    Never all False: of digital silence every block counts as speech, so that nothing becomes empty.
    """
    block = int(rate_hz * BLOCK_S)
    n_blocks = len(samples) // block
    power = np.mean(samples[: n_blocks * block].reshape(n_blocks, block).astype(np.float64) ** 2, axis=1)
    if n_blocks == 0 or power.max() == 0.0:
        return np.ones(n_blocks, dtype=bool)
    loud = power > power.max() * 10.0 ** (-BELOW_PEAK_DB / 10.0)
    reach = np.ones(2 * HANGOVER_BLOCKS + 1)
    return np.convolve(loud, reach, mode="full")[HANGOVER_BLOCKS:-HANGOVER_BLOCKS] > 0


def speech_only(samples: Samples, rate_hz: int) -> Samples:
    """``samples`` without the blocks in which nobody speaks."""
    block = int(rate_hz * BLOCK_S)
    speech = speech_blocks(samples, rate_hz)
    kept = samples[: len(speech) * block].reshape(len(speech), block)[speech].ravel()
    return np.concatenate([kept, samples[len(speech) * block :]])
