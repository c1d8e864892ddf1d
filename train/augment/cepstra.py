"""Augmentations of cepstra before they are standardised: another throat, another pace, another level.

They do to a truncated cepstrum what resampling and gain do to the recording, for a thousandth of the work: a
cepstrum is taken back to its mel spectrum, moved, and transformed again, which is one matrix for each amount
(edge_ser/warp.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edge_ser.warp import warp_matrix
from train.arrays import Features

STEP = 0.02  # warps are rounded to multiples of it, so that there are few matrices
MAX_STEPS = 12


@dataclass(frozen=True)
class VocalTract:
    """Stretch the frequency axis by exp(x), x normal of ``sd``: harmonics and formants of another speaker.

    After vocal tract length perturbation (Jaitly & Hinton, 2013). With ``pitch_sd`` the cepstra from index
    ``pitch_from`` on, where the harmonics are, move by a further normal amount: a throat of the same length
    whose voice is higher or lower. For orthonormal unliftered MFCC of ``n_mels`` Slaney bands from 0 to
    ``high_hz`` (preset librosa), without deltas.
    """

    domain: ClassVar[str] = "frames"
    sd: float = 0.04
    pitch_sd: float = 0.0
    pitch_from: int = 24
    n_mels: int = 128
    high_hz: float = 8000.0

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        amount = rng.normal(0.0, self.sd)
        if not self.pitch_sd:
            return self._warped(features, amount)
        other = amount + rng.normal(0.0, self.pitch_sd)
        throat, pitch = features.copy(), features.copy()
        throat[:, self.pitch_from :] = 0.0
        pitch[:, : self.pitch_from] = 0.0
        return self._warped(throat, amount) + self._warped(pitch, other)

    def _warped(self, features: Features, amount: float) -> Features:
        step = int(np.clip(round(amount / STEP), -MAX_STEPS, MAX_STEPS))
        if not step:
            return features
        return features @ warp_matrix(step * STEP, features.shape[1], self.n_mels, 0.0, self.high_hz)


@dataclass(frozen=True)
class Tempo:
    """Speak exp(x) times as fast, x normal of ``sd``: frames are interpolated, the voice stays as it is."""

    domain: ClassVar[str] = "frames"
    sd: float = 0.07

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        factor = np.exp(np.clip(rng.normal(0.0, self.sd), -0.25, 0.25))
        places = np.linspace(0.0, len(features) - 1.0, max(2, round(len(features) / factor)))
        before = np.minimum(places.astype(np.int64), len(features) - 2)
        share = (places - before).astype(np.float32)[:, None]
        played: Features = features[before] * (1 - share) + features[before + 1] * share
        return played


@dataclass(frozen=True)
class Level:
    """Play louder or softer by x dB, x normal of ``sd_db``; what is at the front end's floor stays there.

    For c0 of an orthonormal DCT of ``n_mels`` natural logarithms that begin at ln ``log_floor``.
    """

    domain: ClassVar[str] = "frames"
    sd_db: float = 4.0
    n_mels: int = 128
    log_floor: float = 1e-10

    def apply(self, features: Features, rng: np.random.Generator) -> Features:
        floor = np.sqrt(self.n_mels) * np.log(self.log_floor)
        shift = np.sqrt(self.n_mels) * np.log(10.0) / 10.0 * rng.normal(0.0, self.sd_db)
        moved = features.copy()
        loud = features[:, 0] > floor + 1.0
        moved[loud, 0] = np.maximum(features[loud, 0] + np.float32(shift), np.float32(floor))
        return moved
