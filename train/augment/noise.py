"""Augmentations by other sound: noise at a given level, and rooms."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.signal import fftconvolve

from edge_ser.errors import ConfigError
from train.arrays import Samples
from train.audio import read_audio
from train.augment.waveform import at_level_of
from train.corpora import corpora_root
from train.corpora.listing import audio_files


@dataclass(frozen=True)
class Noise:
    """Add noise at a uniform signal-to-noise ratio in dB.

    ``folder``: recordings below ``$EDGE_SER_CORPORA`` to draw from, one stretch a time; "" is Gaussian noise
    whose spectrum falls by a uniform 0 to 6 dB an octave (white to brown).
    """

    domain: ClassVar[str] = "waveform"
    probability: float = 0.5
    min_snr_db: float = 5.0
    max_snr_db: float = 30.0
    folder: str = ""

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        if rng.random() >= self.probability:
            return samples
        noise = (
            self._recorded(len(samples), rate_hz, rng) if self.folder else coloured_noise(len(samples), rng)
        )
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        return mixed(samples, noise, snr_db)

    def _recorded(self, n_samples: int, rate_hz: int, rng: np.random.Generator) -> Samples:
        recordings = _recordings(corpora_root() / self.folder, rate_hz)
        recording = recordings[int(rng.integers(len(recordings)))]
        start = int(rng.integers(len(recording)))
        return np.take(recording, np.arange(start, start + n_samples), mode="wrap")


@dataclass(frozen=True)
class Room:
    """Convolve with the impulse response of a room and keep the level.

    ``folder``: responses below ``$EDGE_SER_CORPORA``; "" draws noise that decays by 60 dB within a uniform
    ``min_rt60_s`` to ``max_rt60_s`` behind a direct sound (Polack's model of a diffuse room), ``min_tail`` to
    ``max_tail`` times as strong as that: 0.3 is 10 dB below it, 3 is somebody far from the microphone.
    """

    domain: ClassVar[str] = "waveform"
    probability: float = 0.3
    min_rt60_s: float = 0.1
    max_rt60_s: float = 0.6
    min_tail: float = 0.3
    max_tail: float = 1.0
    folder: str = ""

    def apply(self, samples: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
        if rng.random() >= self.probability:
            return samples
        if self.folder:
            responses = _recordings(corpora_root() / self.folder, rate_hz)
            response = responses[int(rng.integers(len(responses)))]
        else:
            rt60_s = rng.uniform(self.min_rt60_s, self.max_rt60_s)
            response = diffuse_room(rt60_s, rate_hz, rng, self.min_tail, self.max_tail)
        return at_level_of(samples, fftconvolve(samples, response)[: len(samples)])


def mixed(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """``samples`` plus ``noise`` scaled so that the ratio of their mean powers is ``snr_db``; clipped to
    full scale.
    """
    signal_power = float(np.mean(samples**2))
    noise_power = float(np.mean(noise**2))
    if signal_power == 0.0 or noise_power == 0.0:
        return samples
    factor = np.sqrt(signal_power / noise_power * 10.0 ** (-snr_db / 10.0))
    return np.asarray(np.clip(samples + np.float32(factor) * noise, -1.0, 1.0), dtype=np.float32)


def coloured_noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Gaussian noise of unit power whose amplitude falls with frequency to the power of a uniform 0 to 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    slope = rng.uniform(0.0, 1.0)
    shaped = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1.0) ** slope, n_samples)
    return np.asarray(shaped / np.std(shaped), dtype=np.float32)


def diffuse_room(
    rt60_s: float, rate_hz: int, rng: np.random.Generator, min_tail: float = 0.3, max_tail: float = 1.0
) -> Samples:
    """An impulse response: direct sound, then Gaussian noise that has fallen by 60 dB after ``rt60_s``.

    The noise is a uniform ``min_tail`` to ``max_tail`` times as strong (root of its energy) as the direct
    sound.
    """
    times_s = np.arange(int(rt60_s * rate_hz)) / rate_hz
    tail = rng.standard_normal(len(times_s)) * 10.0 ** (-3.0 * times_s / rt60_s)
    tail *= rng.uniform(min_tail, max_tail) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.asarray(tail, dtype=np.float32)


@functools.cache
def _recordings(folder: Path, rate_hz: int) -> list[Samples]:
    recordings = [read_audio(path, rate_hz) for path in audio_files(folder)] if folder.is_dir() else []
    recordings = [samples for samples in recordings if np.any(samples)]
    if not recordings:
        raise ConfigError(f"{folder}: no recordings for augmentation; leave folder empty for generated ones")
    return recordings
