"""What may happen to speech between a mouth and a model: each perturbation of the robustness table, by name.

A perturbation takes mono samples at 16 kHz and gives what a recorder would have written: samples and their
rate. What training augments with is used where it fits, at one fixed strength.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from train.arrays import Samples
from train.augment.noise import Noise, Room
from train.augment.waveform import Gain

RATE_HZ = 16000
Perturbation = Callable[[Samples, np.random.Generator], tuple[Samples, int]]
PLAIN = "as recorded"
WORST = "noise, 0 dB SNR"  # the one that may halve what is above chance
NOISE = "noise/non_speech"  # below $EDGE_SER_CORPORA
RESPONSES = "noise/impulse_response"
LENGTHS_S = (1.0, 2.0, 4.0, 8.0)  # of the rows for which utterances are cut or joined


def _augmented(what: Any, samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    return what.apply(samples, RATE_HZ, rng), RATE_HZ


def _level(db: float) -> Perturbation:
    return partial(_augmented, Gain(min_db=db, max_db=db))


def _noise(snr_db: float) -> Perturbation:
    return partial(_augmented, Noise(probability=1.0, min_snr_db=snr_db, max_snr_db=snr_db, folder=NOISE))


def _resampled(rate_hz: int, samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    return np.asarray(soxr.resample(samples, RATE_HZ, rate_hz), np.float32), rate_hz


def _telephone(samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    """300 to 3400 Hz, the band of ITU-T G.712, by a Butterworth filter of order 8."""
    band = butter(8, [300.0, 3400.0], "bandpass", fs=RATE_HZ, output="sos")
    return np.asarray(sosfilt(band, samples), np.float32), RATE_HZ


def _clipped(samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    """Everything above a fifth of the peak is cut off; the level stays."""
    limit = np.float32(0.2) * np.abs(samples).max()
    return np.clip(samples, -limit, limit), RATE_HZ


def _silence(
    before_s: float, after_s: float, samples: Samples, rng: np.random.Generator
) -> tuple[Samples, int]:
    return np.pad(samples, (round(before_s * RATE_HZ), round(after_s * RATE_HZ))), RATE_HZ


def _same(samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    return samples, RATE_HZ


PERTURBATIONS: dict[str, Perturbation] = {
    PLAIN: _same,
    **{f"level {db:+d} dB".replace("-", "−"): _level(db) for db in (-30, -20, -10, 10)},
    "telephone band, 300–3400 Hz": _telephone,
    "8 kHz source": partial(_resampled, 8000),
    "48 kHz source": partial(_resampled, 48000),
    "room, reverberation 0.3 s": partial(_augmented, Room(probability=1.0, min_rt60_s=0.3, max_rt60_s=0.3)),
    "room, reverberation 0.6 s": partial(_augmented, Room(probability=1.0, min_rt60_s=0.6, max_rt60_s=0.6)),
    "room, measured response": partial(_augmented, Room(probability=1.0, folder=RESPONSES)),
    "noise, 20 dB SNR": _noise(20.0),
    "noise, 10 dB SNR": _noise(10.0),
    WORST: _noise(0.0),
    "clipped at a fifth of the peak": _clipped,
    "1 s of silence before": partial(_silence, 1.0, 0.0),
    "4 s of silence before": partial(_silence, 4.0, 0.0),
    "1 s of silence after": partial(_silence, 0.0, 1.0),
    **{f"{seconds:g} s of speech": _same for seconds in LENGTHS_S},
}
LENGTH_OF = {f"{seconds:g} s of speech": seconds for seconds in LENGTHS_S}


def wav(samples: Samples, rate_hz: int) -> BytesIO:
    """A 16-bit WAV file, as recorders write it."""
    file = BytesIO()
    soundfile.write(file, samples, rate_hz, "PCM_16", format="WAV")
    file.seek(0)
    return file
