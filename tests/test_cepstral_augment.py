"""The cepstral augmentations do to features what they say they do to speech."""

import numpy as np
import pytest

from edge_ser import Frontend, FrontendOptions
from edge_ser.warp import warp_matrix
from train.augment.cepstra import STEP, Level, Tempo, VocalTract

OPTIONS = FrontendOptions(
    preset="librosa",
    log="natural",
    log_floor=1e-8,
    window_ms=64.0,
    hop_ms=16.0,
    n_fft=1024,
    n_mels=128,
    n_mfcc=64,
)


def buzz(pitch_hz: float, rate_hz: int = 16000, seconds: float = 0.6) -> np.ndarray:
    """A voice of sorts: harmonics up to 4 kHz that fall by 6 dB an octave, and breath."""
    times_s = np.arange(int(rate_hz * seconds)) / rate_hz
    harmonics = range(1, int(4000 / pitch_hz) + 1)
    wave = sum(np.sin(2 * np.pi * k * pitch_hz * times_s) / k for k in harmonics)
    breath = np.random.default_rng(1).standard_normal(len(times_s))
    return (0.1 * np.asarray(wave) + 0.01 * breath).astype(np.float32)


def test_a_stretched_frequency_axis_is_nearer_to_the_higher_voice_than_the_plain_one() -> None:
    frontend = Frontend(OPTIONS)
    low = frontend.process(buzz(200.0))[10:25]
    high = frontend.process(buzz(200.0 * np.exp(2 * STEP)))[10:25]
    # The warp reads the spectrum at exp(x) times the frequency, so -2 steps move harmonics up by 2 steps.
    moved = low @ warp_matrix(-2 * STEP, 64, 128, 0.0, 8000.0)
    assert np.abs(moved - high)[:, 20:45].mean() < 0.5 * np.abs(low - high)[:, 20:45].mean()


def test_a_voice_moves_apart_from_its_throat() -> None:
    features = Frontend(OPTIONS).process(buzz(200.0))
    throat, pitch = features.copy(), features.copy()
    throat[:, 24:], pitch[:, :24] = 0.0, 0.0
    moved = VocalTract(sd=0.0, pitch_sd=0.1)
    for seed in (0, 1, 2, 5):  # without a throat's warp only what carries the harmonics changes
        amount = np.random.default_rng(seed).normal(size=2)[1] * 0.1
        step = round(amount / STEP) * STEP
        expected = throat + pitch @ warp_matrix(step, 64, 128, 0.0, 8000.0)
        np.testing.assert_allclose(
            moved.apply(features, np.random.default_rng(seed)), expected, rtol=1e-4, atol=1e-3
        )
        assert abs(step) > 0
    alone = VocalTract(sd=0.1).apply(features, np.random.default_rng(0))
    both = VocalTract(sd=0.1, pitch_sd=1e-9).apply(features, np.random.default_rng(0))
    np.testing.assert_allclose(both, alone, rtol=1e-4, atol=1e-3)


def test_no_warp_is_the_identity() -> None:
    np.testing.assert_allclose(warp_matrix(0.0, 64, 128, 0.0, 8000.0), np.eye(64), atol=1e-5)


def test_tempo_keeps_the_ends_and_changes_the_length() -> None:
    ramp = np.linspace(0.0, 1.0, 101, dtype=np.float32)[:, None]
    lengths = set()
    for seed in range(5):
        played = Tempo(sd=0.2).apply(ramp, np.random.default_rng(seed))
        assert played[0, 0] == 0.0 and played[-1, 0] == pytest.approx(1.0)
        assert np.all(np.diff(played[:, 0]) > 0)
        lengths.add(len(played))
    assert len(lengths) > 1


def test_level_moves_sound_as_a_gain_would_and_leaves_digital_silence() -> None:
    samples = np.concatenate([buzz(120.0), np.zeros(9600, dtype=np.float32)])
    frontend = Frontend(OPTIONS)
    features = frontend.process(samples)
    moved = Level(sd_db=3.0, log_floor=1e-8).apply(features, np.random.default_rng(4))
    gain_db = np.random.default_rng(4).normal(0.0, 3.0)
    expected = frontend.process(samples * np.float32(10.0 ** (gain_db / 20.0)))
    np.testing.assert_allclose(moved[5:30, 0], expected[5:30, 0], atol=0.8)
    np.testing.assert_array_equal(moved[-10:], features[-10:])


def test_without_strength_nothing_changes() -> None:
    features = Frontend(OPTIONS).process(buzz(150.0))
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(VocalTract(sd=0.0).apply(features, rng), features)
    np.testing.assert_array_equal(Level(sd_db=0.0, log_floor=1e-8).apply(features, rng), features)
    np.testing.assert_allclose(Tempo(sd=0.0).apply(features, rng), features, atol=1e-4)
