"""The C front end computes what the float64 reference computes, on real speech, for every convention."""

from collections.abc import Iterable

import numpy as np
import pytest

from edge_ser import Frontend, FrontendOptions
from tests import reference_frontend
from tests.speech import recordings

# On cepstra, absolute. Where a quiet band lies 70 dB below a loud one (silence cut into synthetic speech,
# breath between bass-heavy vowels) float32 itself is not that good: SciPy's float32 FFT reaches 2.7e-4 on the
# same frames. There, one value in a hundred may be up to ten times the bound away.
UNLIFTERED_BOUND = 1e-4
LIFTERED_BOUND = 5e-4  # values reach 100, where float32 has steps of 8e-6 before any sum
LOG_MEL_BOUND = 2e-4  # a cepstrum averages bands, a band stands alone
DB_PER_NEPER = 10 / np.log(10)

VOICES = ("Front_Center", "Rear_Right", "Side_Left")

pytestmark = pytest.mark.skipif(
    "Front_Center" not in recordings(), reason="alsa-utils' recordings are not installed"
)


def differences(options: FrontendOptions, names: Iterable[str] = VOICES) -> np.ndarray:
    """|ours - reference| of every value over the named recordings."""
    frontend, found = Frontend(options), []
    for name in names:
        samples = recordings(options.rate_hz)[name]
        ours, reference = frontend.process(samples), reference_frontend.features(samples, options)
        assert ours.shape == reference.shape, name
        found.append(np.abs(ours - reference).ravel())
    return np.concatenate(found)


def worst_difference(options: FrontendOptions) -> float:
    return float(differences(options).max())


def bound(options: FrontendOptions) -> float:
    natural = LOG_MEL_BOUND if options.feature == "log_mel" else UNLIFTERED_BOUND
    return natural * (DB_PER_NEPER if options.log == "db" else 1)


def assert_nearly_all_within_bound(options: FrontendOptions, found: np.ndarray) -> None:
    assert np.quantile(found, 0.99) < bound(options)
    assert found.max() < 10 * bound(options)


@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
def test_on_every_recording_ninety_nine_cepstra_in_a_hundred_are_within_the_bound(preset: str) -> None:
    options = FrontendOptions(preset=preset, lifter=0.0, log="natural", input_scale=32768.0)
    assert_nearly_all_within_bound(options, differences(options, recordings()))


@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
@pytest.mark.parametrize("feature", ["mfcc", "log_mel"])
def test_the_presets_agree_with_the_reference(preset: str, feature: str) -> None:
    options = FrontendOptions(preset=preset, feature=feature, lifter=0.0)
    assert worst_difference(options) < bound(options)


@pytest.mark.parametrize("preset", ["kaldi", "htk"])
def test_liftered_cepstra_agree_with_the_reference(preset: str) -> None:
    assert worst_difference(FrontendOptions(preset=preset, lifter=22.0)) < LIFTERED_BOUND


@pytest.mark.parametrize("framing", ["snip", "mirror", "center", "tail"])
@pytest.mark.parametrize("window", ["povey", "hamming", "hann", "hann_periodic", "blackman", "rectangular"])
def test_every_framing_and_window_agrees_with_the_reference(framing: str, window: str) -> None:
    assert worst_difference(FrontendOptions(framing=framing, window=window, lifter=0.0)) < UNLIFTERED_BOUND


@pytest.mark.parametrize(
    ("rate_hz", "window_ms", "hop_ms", "n_fft", "n_mels", "n_mfcc"),
    [
        (16000, 64.0, 16.0, 1024, 128, 40),
        (16000, 32.0, 16.0, 512, 40, 20),
        (16000, 20.0, 10.0, 512, 64, 64),
        (16000, 16.0, 8.0, 256, 23, 13),
        (16000, 12.5, 5.0, 256, 20, 12),
        (22050, 2048 / 22.05, 512 / 22.05, 2048, 128, 20),
        (22050, 25.0, 10.0, 1024, 80, 13),
        (44100, 46.0, 10.0, 2048, 40, 13),
        (48000, 85.0, 20.0, 4096, 60, 13),
        (8000, 25.0, 10.0, 256, 26, 13),
    ],
)
@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
def test_other_lengths_agree_with_the_reference(
    preset: str, rate_hz: int, window_ms: float, hop_ms: float, n_fft: int, n_mels: int, n_mfcc: int
) -> None:
    options = FrontendOptions(
        preset=preset,
        rate_hz=rate_hz,
        window_ms=window_ms,
        hop_ms=hop_ms,
        n_fft=n_fft,
        n_mels=n_mels,
        n_mfcc=n_mfcc,
        lifter=0.0,
        log="natural",
    )
    assert_nearly_all_within_bound(options, differences(options))


@pytest.mark.parametrize("energy", ["none", "raw", "windowed", "spectrum"])
@pytest.mark.parametrize("feature", ["mfcc", "log_mel"])
def test_every_energy_agrees_with_the_reference(energy: str, feature: str) -> None:
    options = FrontendOptions(energy=energy, feature=feature, lifter=0.0)
    assert Frontend(options).n_features == {"mfcc": 13, "log_mel": 40 + (energy != "none")}[feature]
    assert worst_difference(options) < bound(options)


@pytest.mark.parametrize("deltas", [1, 2])
@pytest.mark.parametrize("delta_window", [1, 2, 4])
def test_deltas_agree_with_the_reference(deltas: int, delta_window: int) -> None:
    options = FrontendOptions(deltas=deltas, delta_window=delta_window, lifter=0.0)
    assert Frontend(options).n_features == 13 * (1 + deltas)
    assert worst_difference(options) < UNLIFTERED_BOUND


@pytest.mark.parametrize("normalize", ["utterance", "sliding"])
@pytest.mark.parametrize("deltas", [0, 2])
def test_mean_normalisation_agrees_with_the_reference(normalize: str, deltas: int) -> None:
    options = FrontendOptions(normalize=normalize, normalize_s=0.5, deltas=deltas, lifter=0.0)
    assert worst_difference(options) < UNLIFTERED_BOUND


def test_variance_normalisation_agrees_with_the_reference() -> None:
    options = FrontendOptions(normalize="utterance", normalize_variance=True, lifter=0.0)
    assert worst_difference(options) < UNLIFTERED_BOUND


@pytest.mark.parametrize(
    "changes",
    [
        {"remove_dc": False},
        {"preemphasis": 0.0},
        {"remove_dc": False, "preemphasis": 0.0},
        {"preemphasis_scope": "signal"},
        {"preemphasis_scope": "signal", "framing": "center"},
        {"mel_scale": "slaney", "mel_norm": "slaney"},
        {"mel_slope": "hz"},
        {"low_hz": 300.0, "high_hz": 3400.0},
        {"n_mels": 128, "n_mfcc": 40},  # some triangles lie between two bins and are empty
        {"n_mels": 5, "n_mfcc": 5},
        {"n_mels": 13, "n_mfcc": 13},
        {"n_mfcc": 1},
        {"log": "db", "input_scale": 1.0, "log_floor": 1e-10},
        {"hop_ms": 25.0},
        {"hop_ms": 3.3125},
    ],
)
def test_single_options_agree_with_the_reference(changes: dict[str, object]) -> None:
    options = FrontendOptions(**{"lifter": 0.0, **changes})  # type: ignore[arg-type]
    assert_nearly_all_within_bound(options, differences(options))


def test_a_pure_tone_lies_in_the_band_that_holds_its_frequency() -> None:
    options = FrontendOptions(feature="log_mel")
    tone = (0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(16000) / 16000)).astype(np.float32)
    mel = 1127 * np.log1p(1000 / 700)
    low, high = 1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700)
    expected = round((mel - low) / (high - low) * 41) - 1
    assert set(Frontend(options).process(tone).argmax(axis=1)) == {expected}
