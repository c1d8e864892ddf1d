"""Augmentations of the waveform that need no other recording: level, speed and pitch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import soxr

from train.arrays import Samples


@dataclass(frozen=True)
class Gain:
    """Change the level by a uniform number of decibels; what would leave full scale is clipped, as a
    converter does.
    """

    domain: ClassVar[str] = "waveform"
    min_db: float = -6.0
    max_db: float = 6.0

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        factor = 10.0 ** (rng.uniform(self.min_db, self.max_db) / 20.0)
        return np.asarray(np.clip(samples * np.float32(factor), -1.0, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class Speed:
    """Play faster or slower by resampling, so that pitch and formants move along (Ko et al., Interspeech
    2015).
    """

    domain: ClassVar[str] = "waveform"
    probability: float = 0.5
    min_factor: float = 0.9
    max_factor: float = 1.1

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        if rng.random() >= self.probability:
            return samples
        return resampled(samples, rng.uniform(self.min_factor, self.max_factor))


@dataclass(frozen=True)
class Pitch:
    """Move pitch and formants by a uniform number of semitones and keep the duration."""

    domain: ClassVar[str] = "waveform"
    probability: float = 0.5
    max_semitones: float = 2.0

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        if rng.random() >= self.probability:
            return samples
        factor = 2.0 ** (rng.uniform(-self.max_semitones, self.max_semitones) / 12.0)
        return stretched(resampled(samples, factor), len(samples), rate_hz)


def resampled(samples: Samples, factor: float) -> Samples:
    """``samples`` played ``factor`` times as fast: round(n / factor) samples."""
    rate = 1 << 16
    played = soxr.resample(samples, rate, rate / factor, quality="HQ")
    return np.asarray(played, dtype=np.float32)


def stretched(samples: Samples, n_samples: int, rate_hz: int) -> Samples:
    """``samples`` at the same pitch in ``n_samples``: overlap-add of windows where the wave repeats itself.

    WSOLA (Verhelst & Roelands, ICASSP 1993): windows of 32 ms are laid down every 16 ms; each is taken from
    near where it would stand, at the lag (within 8 ms) that best continues the window before it.
    """
    hop = rate_hz * 16 // 1000
    reach = rate_hz * 8 // 1000
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    source = np.pad(samples, (reach, 3 * hop + 2 * reach))
    n_windows = n_samples // hop + 1
    ratio = len(samples) / max(n_samples, 1)
    result = np.zeros(n_windows * hop + 2 * hop, dtype=np.float32)
    taken = reach
    for index in range(n_windows):
        near = min(reach + round(index * hop * ratio), len(source) - 2 * hop - reach)
        if index:
            wanted = source[taken + hop : taken + 2 * hop]
            search = source[near - reach : near + reach + hop]
            score = np.correlate(search, wanted, mode="valid")
            taken = near - reach + int(np.argmax(score)) if wanted.size == hop else near
        else:
            taken = near
        taken = min(taken, len(source) - 3 * hop)
        result[index * hop : index * hop + 2 * hop] += window * source[taken : taken + 2 * hop]
    # The first half window has nothing to overlap with; the rest adds up to one.
    return result[:n_samples]
