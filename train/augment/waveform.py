"""Augmentations of the waveform that need no other recording: level, length, band, speed and pitch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import soxr
from scipy.signal import butter, sosfilt

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
class Excerpt:
    """Keep a stretch of a uniform length from ``min_s`` to all of it, as when somebody says less."""

    domain: ClassVar[str] = "waveform"
    probability: float = 0.1
    min_s: float = 1.0

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        shortest = round(self.min_s * rate_hz)
        if rng.random() >= self.probability or len(samples) <= shortest:
            return samples
        length = int(rng.integers(shortest, len(samples) + 1))
        start = int(rng.integers(len(samples) - length + 1))
        return samples[start : start + length]


@dataclass(frozen=True)
class Band:
    """Leave a band of frequencies only, as telephones, small loudspeakers and low sampling rates do.

    The lower edge is log-uniform in ``min_low_hz`` to ``max_low_hz``, the upper one in ``min_high_hz`` to
    ``max_high_hz``; beyond each the level falls by 12 to 96 dB an octave (Butterworth). A third of the bands
    have no lower edge, another third no upper one. The level of the whole stays.
    """

    domain: ClassVar[str] = "waveform"
    probability: float = 0.25
    min_low_hz: float = 80.0
    max_low_hz: float = 700.0
    min_high_hz: float = 2500.0
    max_high_hz: float = 7000.0

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        if rng.random() >= self.probability:
            return samples
        kind = int(rng.integers(3))
        low_hz = np.exp(rng.uniform(np.log(self.min_low_hz), np.log(self.max_low_hz)))
        high_hz = np.exp(rng.uniform(np.log(self.min_high_hz), np.log(self.max_high_hz)))
        orders = rng.integers(1, 9, 2) * 2
        passed = samples
        if kind != 0:
            passed = sosfilt(butter(orders[0], low_hz, "highpass", fs=rate_hz, output="sos"), passed)
        if kind != 1:
            passed = sosfilt(butter(orders[1], high_hz, "lowpass", fs=rate_hz, output="sos"), passed)
        return at_level_of(samples, passed)


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


def at_level_of(samples: Samples, changed: Samples) -> Samples:
    """``changed`` with the root mean square of ``samples``, clipped to full scale."""
    before, after = np.sqrt(np.mean(samples**2)), np.sqrt(np.mean(changed**2))
    return np.asarray(np.clip(changed * (before / max(after, 1e-9)), -1.0, 1.0), dtype=np.float32)


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
