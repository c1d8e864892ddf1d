"""Our own change of rate, for machines without soxr: against what Fourier's theorem says."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ser.resample import Resampler

RATES_HZ = [(48000, 16000), (44100, 16000), (22050, 16000), (8000, 16000), (16000, 22050)]
EDGE = 2000  # outputs at both ends, where the periodic signal of the theorem is not what was given


@pytest.fixture(autouse=True)
def without_soxr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)


def power_db(signal: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    inner = slice(EDGE, -EDGE)
    return float(10 * np.log10(np.mean(signal[inner] ** 2) / np.mean(reference[inner] ** 2)))


def noise(from_hz: int, to_hz: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Two seconds of noise up to 88 % of what both rates hold, and the same at the other rate, exactly."""
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 0.1, 2 * from_hz))
    spectrum[int(0.88 * min(from_hz, to_hz)) :] = 0  # bins of half a hertz
    given = np.fft.irfft(spectrum, 2 * from_hz).astype(np.float32)
    wanted = np.zeros(to_hz + 1, complex)
    held = min(len(spectrum), len(wanted))
    wanted[:held] = spectrum[:held]
    return given, np.fft.irfft(wanted, 2 * to_hz) * to_hz / from_hz


@pytest.mark.parametrize("rates_hz", RATES_HZ)
def test_the_samples_lie_on_the_same_curve(rates_hz: tuple[int, int]) -> None:
    given, wanted = noise(*rates_hz)
    resampled = Resampler(*rates_hz)(given, last=True)
    assert resampled.dtype == np.float32
    assert len(resampled) == len(wanted)
    assert power_db(resampled - wanted, wanted) < -95


@pytest.mark.parametrize("rates_hz", RATES_HZ)
def test_pieces_of_any_length_give_the_same_bits_as_one(rates_hz: tuple[int, int]) -> None:
    given, _ = noise(*rates_hz)
    whole = Resampler(*rates_hz)(given, last=True)
    resample, pieces, start = Resampler(*rates_hz), [], 0
    for length in itertools.cycle([1, 3, 4410, 20, 999]):
        if start >= len(given):
            break
        pieces.append(resample(given[start : start + length]))
        start += length
    pieces.append(resample(np.zeros(0, np.float32), last=True))
    assert np.array_equal(np.concatenate(pieces), whole)


def test_what_the_lower_rate_cannot_hold_is_not_folded_into_it() -> None:
    tone = np.sin(2 * np.pi * 8100 * np.arange(96000) / 48000).astype(np.float32)
    assert power_db(Resampler(48000, 16000)(tone, last=True), tone) < -85


def test_a_few_samples_become_as_many_as_they_last() -> None:
    for n in range(8):
        assert len(Resampler(48000, 16000)(np.ones(n, np.float32), last=True)) == round(n / 3)


def test_equal_rates_give_back_what_came() -> None:
    given = np.ones(5, np.float32)
    assert Resampler(16000, 16000)(given) is given
