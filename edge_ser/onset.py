"""Where a recording begins to be heard: shortly before its first sound.

How long somebody waits before they speak is no part of how they feel, and a live stream does not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

CHUNK_S = 0.032
QUIET_DB = 25.0  # what is further below the loudest chunk is no sound


def before_onset(samples: Float32, rate_hz: int, lead_s: float) -> int:
    """How many of the first ``samples`` [n] to leave out, so that at most ``lead_s`` seconds come before the
    first chunk that is a sound.

    >>> before_onset(np.repeat(np.float32([0, 1]), [16000, 8000]), 16000, 0.5)
    7872
    """
    chunk = round(CHUNK_S * rate_hz)
    power = chunk_powers(samples[: len(samples) // chunk * chunk], chunk)
    if not len(power):
        return 0
    first = int(np.argmax(power >= power.max() * np.float32(10 ** (-QUIET_DB / 10))))
    return max(0, first * chunk - round(lead_s * rate_hz))


def chunk_powers(samples: Float32, chunk: int) -> Float32:
    """The sum of squares [chunks] of each ``chunk`` of ``samples`` [chunks * chunk]."""
    chunks = samples.reshape(-1, chunk)
    return np.asarray(np.einsum("ij,ij->i", chunks, chunks))


def from_onset(
    blocks: Iterable[Float32],
    window: int,
    hop: int,
    rate_hz: int,
    lead_s: float,
    heard: Callable[[int, Float32], bool],
    overlap_last: bool = True,
) -> tuple[int, Iterator[Float32]]:
    """(how many samples are left out, the rest in blocks).

    The onset is looked for in the first ``window`` of which ``heard(first sample, samples)``, one every
    ``hop``; what is before that window is left out. The last one is flush with the end if ``overlap_last``,
    else what is left, if that is more than half of one. Holds a window, a hop and a block.
    """
    rest = iter(blocks)
    kept = _filled(np.zeros(0, np.float32), window, rest)
    position = 0
    while not heard(position, kept[:window]):
        kept = _filled(kept, window + hop, rest)
        step = min(hop, len(kept) - window) if overlap_last else hop
        if step <= 0 or 2 * (len(kept) - step) <= window:
            return position, chain([kept], rest)
        kept, position = kept[step:], position + step
    left_out = before_onset(kept[:window], rate_hz, lead_s)
    return position + left_out, chain([kept[left_out:]], rest)


def _filled(kept: Float32, length: int, rest: Iterator[Float32]) -> Float32:
    """``kept`` and as many blocks of the ``rest`` as make it ``length`` long, if there are so many."""
    while len(kept) < length and (block := next(rest, None)) is not None:
        kept = np.concatenate([kept, block])
    return kept
