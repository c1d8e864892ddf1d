"""From one sample rate to another, block by block: by soxr, and where there is none by a filter of our own.

32-bit ARM is where there is none: PyPI has no wheel of soxr for it. Our filter is a windowed sinc (Kaiser's
window; Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3) in polyphase form: it passes up to nine
tenths of what both rates hold, and what cannot be held is 90 dB down. It costs more than soxr's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

STOPBAND_DB = 90.0
PASSBAND = 0.9  # of half the lower rate; the stopband begins at that half


class Resampler:
    """Mono float32 in, mono float32 out, from ``from_hz`` to ``to_hz``; equal rates cost nothing."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._filter: _Polyphase | None = None
        self._soxr = None
        if from_hz == to_hz:
            return
        try:  # imported only here: most recordings need neither
            from soxr import ResampleStream
        except ImportError:
            self._filter = _Polyphase(from_hz, to_hz)
        else:
            self._soxr = ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: Samples, last: bool = False) -> Samples:
        """What these samples complete; ``last`` gives the rest."""
        if self._filter is not None:
            return self._filter(samples, last)
        if self._soxr is None:
            return samples
        resampled: Samples = self._soxr.resample_chunk(samples, last=last)
        return resampled


class _Polyphase:
    """Output n lies at n * from / to in the input; its taps are the sinc around that place."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // divisor, from_hz // divisor
        # Frequencies in cycles a sample of the input.
        half = 0.5 * min(1.0, to_hz / from_hz)
        cutoff, transition = half * (1 + PASSBAND) / 2, half * (1 - PASSBAND)
        self._reach = math.ceil((STOPBAND_DB - 8) / (2.285 * 2 * np.pi * transition) / 2)  # taps on each side
        beta = 0.1102 * (STOPBAND_DB - 8.7)
        # Row p is for outputs that lie p / up behind an input sample.
        distance = np.arange(1 - self._reach, self._reach + 1) - np.arange(self._up)[:, np.newaxis] / self._up
        window = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (distance / self._reach) ** 2))) / np.i0(beta)
        self._taps = (2 * cutoff * np.sinc(2 * cutoff * distance) * window).astype(np.float32)
        self._waiting = np.zeros(self._reach - 1, np.float32)  # silence before the beginning
        self._place = 0  # of the next output, in samples of the input times `up`, within what waits
        self._missing = 0.0  # outputs that the whole recording has, less those given

    def __call__(self, samples: Samples, last: bool) -> Samples:
        self._missing += len(samples) * self._up / self._down
        ending = [np.zeros(self._reach + self._down, np.float32)] if last else []
        self._waiting = np.concatenate([self._waiting, samples, *ending])
        # An output needs `reach` samples on each side of its place.
        reached = (len(self._waiting) - 2 * self._reach + 1) * self._up
        count = max(0, -(-(reached - self._place) // self._down))
        if last:
            count = min(count, round(self._missing))
        if not count:
            return np.zeros(0, np.float32)
        places = self._place + self._down * np.arange(count)
        first, phase = places // self._up, places % self._up
        rows = np.lib.stride_tricks.sliding_window_view(self._waiting, 2 * self._reach)
        resampled: Samples = np.einsum("nt,nt->n", rows[first], self._taps[phase])
        self._missing -= count
        self._place += self._down * count
        used = min(self._place // self._up, len(self._waiting))
        self._waiting = self._waiting[used:].copy()
        self._place -= used * self._up
        return resampled
