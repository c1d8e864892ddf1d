"""Augmentations of cepstra before they are standardised: another throat, another pace, another level.

They do to a truncated cepstrum what resampling and gain do to the recording, for a thousandth of the work: a
cepstrum is taken back to its mel spectrum, moved, and transformed again, which is one matrix for each amount.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from train.arrays import Features

STEP = 0.02  # warps are rounded to multiples of it, so that there are few matrices
MAX_STEPS = 12
SLANEY_HZ = 200.0 / 3.0  # Hz a mel below 1 kHz
SLANEY_LOG = np.log(6.4) / 27.0  # ln Hz a mel above


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
        return (
            features @ warp_matrix(step, features.shape[1], self.n_mels, self.high_hz) if step else features
        )


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


def dct(n: int, n_mels: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II [n, n_mels]."""
    rows: NDArray[np.float64] = np.cos(np.pi * np.outer(np.arange(n), np.arange(n_mels) + 0.5) / n_mels)
    rows *= np.sqrt(2.0 / n_mels)
    rows[0] /= np.sqrt(2.0)
    return rows


def slaney_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    return np.where(hz < 1000.0, hz / SLANEY_HZ, 15.0 + np.log(np.maximum(hz, 1.0) / 1000.0) / SLANEY_LOG)


def slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of :func:`slaney_mel`."""
    return np.where(mel < 15.0, mel * SLANEY_HZ, 1000.0 * np.exp((mel - 15.0) * SLANEY_LOG))


@functools.cache
def warp_matrix(step: int, n: int, n_mels: int, high_hz: float) -> NDArray[np.float32]:
    """The matrix [n, n] by which rows of cepstra are multiplied from the right."""
    band = slaney_mel(np.array([high_hz]))[0] / (n_mels + 1)
    centres = slaney_hz(band * np.arange(1, n_mels + 1))
    places = slaney_mel(centres * np.exp(step * STEP)) / band - 1.0
    places = np.clip(places, 0.0, n_mels - 1.0 - 1e-6)
    before = places.astype(np.int64)
    spread = np.zeros((n_mels, n_mels))
    spread[np.arange(n_mels), before] = 1.0 - (places - before)
    spread[np.arange(n_mels), before + 1] = places - before
    basis = dct(n, n_mels)
    return (basis @ spread @ basis.T).T.astype(np.float32)
