"""Augmentations of standardised features: SpecAugment's masks and jitters of level and channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from train.arrays import Features


@dataclass(frozen=True)
class TimeMask:
    """Set up to ``max_frames`` consecutive frames to the mean, ``count`` times (SpecAugment, Park et al.
    2019).
    """

    domain: ClassVar[str] = "features"
    max_frames: int = 20
    count: int = 1

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        masked = features.copy()
        for _ in range(self.count):
            width = int(rng.integers(0, min(self.max_frames, len(features)) + 1))
            start = int(rng.integers(0, len(features) - width + 1))
            masked[start : start + width] = 0.0
        return masked


@dataclass(frozen=True)
class FrequencyMask:
    """Set up to ``max_bands`` neighbouring bands to the mean, ``count`` times; for log-mel features."""

    domain: ClassVar[str] = "features"
    max_bands: int = 8
    count: int = 1

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        masked = features.copy()
        for _ in range(self.count):
            width = int(rng.integers(0, min(self.max_bands, features.shape[1]) + 1))
            start = int(rng.integers(0, features.shape[1] - width + 1))
            masked[:, start : start + width] = 0.0
        return masked


@dataclass(frozen=True)
class LevelJitter:
    """Add one normal number to all of c0, the level of a cepstrum; ``sd`` in standard deviations of c0."""

    domain: ClassVar[str] = "features"
    sd: float = 0.5

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        moved = features.copy()
        moved[:, 0] += np.float32(rng.normal(0.0, self.sd))
        return moved


@dataclass(frozen=True)
class CepstralBias:
    """Add one normal vector to all frames: what another microphone's colour does to a cepstrum
    without CMN.
    """

    domain: ClassVar[str] = "features"
    sd: float = 0.15

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        return features + np.asarray(rng.normal(0.0, self.sd, features.shape[1]), dtype=np.float32)
