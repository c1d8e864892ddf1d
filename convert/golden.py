"""The golden vector: made-up voice, its int8 features and the graph's int8 answers.

The audio lasts a second, or one window where that is shorter: a vowel-like pulse train whose pitch and
loudness change five times. Each stretch repeats exactly, so it compresses to a few hundred bytes; no
recording of a person is in a model file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_STRETCHES = (
    (0.15, 100, 0.10),
    (0.2, 160, 0.4),
    (0.2, 200, 0.8),
    (0.15, 250, 0.5),
    (0.1, 125, 0.2),
)  # s, Hz, level
_FORMANTS = (
    (700.0, 90.0),
    (1220.0, 110.0),
    (2600.0, 170.0),
)  # Hz and bandwidth: Peterson & Barney 1952, "ah"


def golden_audio(rate_hz: int) -> npt.NDArray[np.int16]:
    """One second: five stretches of voice, then silence."""
    pieces = []
    for seconds, pitch_hz, level in _STRETCHES:
        period = round(rate_hz / pitch_hz)
        pulse = _pulse(period, rate_hz)
        repeats = -(-round(seconds * rate_hz) // period)
        pieces.append(np.tile(np.rint(pulse * level * 32767).astype(np.int16), repeats))
    voice = np.concatenate(pieces)[:rate_hz]
    return np.concatenate([voice, np.zeros(rate_hz - len(voice), np.int16)])


def _pulse(period: int, rate_hz: int) -> npt.NDArray[np.float64]:
    """One period of a pulse train through three resonators, in its steady state, peak 1."""
    frequency = np.arange(period // 2 + 1) * rate_hz / period
    response = np.ones(len(frequency), np.complex128)
    for centre, width in _FORMANTS:
        response *= centre**2 / (centre**2 - frequency**2 + 1j * frequency * width)
    response[0] = 0.0
    wave = np.fft.irfft(response, period)
    return np.asarray(wave / np.abs(wave).max(), np.float64)


def golden_features(
    options: Any,
    audio: npt.NDArray[np.int16],
    quantise: tuple[npt.ArrayLike, npt.ArrayLike],
    length: int,
) -> npt.NDArray[np.int8]:
    """Int8 features [frames, features] of the audio, zero-padded to ``length`` samples, as the device writes
    them.

    ``quantise`` is (scale, offset) of the front end's fused write.
    """
    from edge_ser.frontend import Frontend

    frontend = Frontend(options)
    samples = audio.astype(np.float32) / np.float32(32768)
    samples = np.pad(samples, (0, max(length - len(samples), 0)))
    out = np.zeros((frontend.n_frames(len(samples)), frontend.n_features), np.int8)
    scale, offset = (np.asarray(part, np.float32) for part in quantise)
    frontend.process_int8(samples, scale, offset, out)
    return out
