"""Another throat: what the cepstra of a window would be if its frequency axis were stretched.

A model may hear every window several times, as it is and with the axis stretched by exp(x), and answer with
the mean of the logits (vocal tract length perturbation, Jaitly & Hinton 2013, when testing). A truncated
cepstrum goes back to its mel spectrum, that is read at exp(x) times each band's frequency, and transformed
again: one matrix for each x. A flat spectrum stays as it is, and so does digital silence.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_ser.frontend import FrontendOptions
    from edge_ser.model import Model

Float32 = NDArray[np.float32]
SLANEY_HZ = 200.0 / 3.0  # Hz a mel below 1 kHz
SLANEY_LOG = np.log(6.4) / 27.0  # ln Hz a mel above


def misfit(options: FrontendOptions) -> str:
    """Why these features cannot be warped, in a few words; empty where they can.

    They can if they are the orthonormal DCT of Slaney's mel bands and nothing else.
    """
    wanted = {
        "preset": "librosa",
        "feature": "mfcc",
        "mel_scale": "slaney",
        "deltas": 0,
        "lifter": 0.0,
        "energy": "none",
        "normalize": "none",
    }
    for name, value in wanted.items():
        if getattr(options, name) != value:
            return f"warps need {name} = {value!r}, and frontend.{name} is {getattr(options, name)!r}"
    return "" if options.n_mels > 1 else "warps need two mel bands or more, and frontend.n_mels is 1"


def warp_matrices(options: FrontendOptions, warps: Sequence[float]) -> list[Float32]:
    """A matrix [n_mfcc, n_mfcc] for each of the log factors ``warps``, by which rows of features of
    ``options`` (without a :func:`misfit`) are multiplied from the right.
    """
    low_hz, high_hz = options.low_hz or 0.0, options.high_hz or options.rate_hz / 2
    return [warp_matrix(each, options.n_mfcc, options.n_mels, low_hz, high_hz) for each in warps]


@functools.cache
def warp_matrix(log_factor: float, n: int, n_mels: int, low_hz: float, high_hz: float) -> Float32:
    """The matrix [n, n] that reads the spectrum at exp(``log_factor``) times the frequency of each of
    ``n_mels`` bands from ``low_hz`` to ``high_hz``; what lies beyond the outermost bands is taken for them.
    """
    low, high = slaney_mel(np.array([low_hz, high_hz]))
    band = (high - low) / (n_mels + 1)
    centres = slaney_hz(low + band * np.arange(1, n_mels + 1))
    places = (slaney_mel(centres * np.exp(log_factor)) - low) / band - 1.0
    places = np.clip(places, 0.0, n_mels - 1.0 - 1e-6)
    before = places.astype(np.int64)
    spread = np.zeros((n_mels, n_mels))
    spread[np.arange(n_mels), before] = 1.0 - (places - before)
    spread[np.arange(n_mels), before + 1] = places - before
    basis = dct(n, n_mels)
    return (basis @ spread @ basis.T).T.astype(np.float32)


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


class WarpedWriter:
    """Features of a window to the int8 inputs of its runs: run 0 as they are, then one for each warp.

    Buffers are held from the start.
    """

    def __init__(self, model: Model) -> None:
        self._matrices = warp_matrices(model.frontend, model.warps)
        self._scale, self._offset = model.input_scale, model.input_offset
        self._moved = np.empty((model.frames, model.n_features), np.float32)
        self._codes = np.empty_like(self._moved)
        self.shift(np.zeros_like(self._offset))

    def shift(self, shift: Float32) -> None:
        """Subtract ``shift`` [features] from the features, before they are warped, from now on."""
        shifts = [shift, *(shift @ matrix for matrix in self._matrices)]  # what becomes of it behind the warp
        self._offsets = [(self._offset - each * self._scale).astype(np.float32) for each in shifts]

    def __call__(self, run: int, features: Float32, out: NDArray[np.int8]) -> None:
        """Write the input of a run to ``out`` int8 [frames, features], rounded as the front end rounds."""
        if run:
            features = np.matmul(features, self._matrices[run - 1], out=self._moved)
        codes = np.multiply(features, self._scale, out=self._codes)
        codes += self._offsets[run]
        np.rint(codes, out=codes)
        np.clip(codes, -128, 127, out=codes)
        np.copyto(out, codes, casting="unsafe")
