"""Each preset gives the numbers of the package it is named after, on real speech."""

import numpy as np
import pytest

from edge_ser import Frontend, FrontendOptions
from tests.speech import Array, recordings

BOUND = 1e-3

knf = pytest.importorskip("kaldi_native_fbank")
librosa = pytest.importorskip("librosa")
python_speech_features = pytest.importorskip("python_speech_features")

SPEECH = sorted(recordings())


def kaldi_rows(online, samples: Array) -> np.ndarray:
    online.accept_waveform(16000, (samples * 32768).tolist())
    online.input_finished()
    return np.array([online.get_frame(i) for i in range(online.num_frames_ready)])


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < BOUND


def assert_same_on(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """The same; on recordings with pauses under loud bass, but for a few values that float32 cannot hold.

    There kaldi-native-fbank is up to 4.5e-3 and we are up to 3.5e-3 away from the float64 reference, and
    where their signs differ, they add up.
    """
    if name.endswith(("Center", "Left", "Right")):
        assert_same(ours, theirs)
        return
    assert ours.shape == theirs.shape
    assert (np.abs(ours - theirs) >= BOUND).mean() < 0.005
    assert np.abs(ours - theirs).max() < 8 * BOUND


@pytest.mark.parametrize("name", SPEECH)
@pytest.mark.parametrize("snip_edges", [True, False])
def test_kaldi_mfcc(name: str, snip_edges: bool) -> None:
    options = knf.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = snip_edges
    options.mel_opts.num_bins = 40
    theirs = kaldi_rows(knf.OnlineMfcc(options), recordings()[name])
    ours = Frontend(FrontendOptions(framing="snip" if snip_edges else "mirror")).process(recordings()[name])
    assert_same_on(name, ours, theirs)


@pytest.mark.parametrize("window", ["povey", "hamming", "hann", "blackman", "rectangular"])
@pytest.mark.parametrize("raw_energy", [True, False])
def test_kaldi_mfcc_with_other_windows_and_energies(window: str, raw_energy: bool) -> None:
    options = knf.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = {"hann": "hanning"}.get(window, window)
    options.mel_opts.num_bins = 40
    options.raw_energy = raw_energy
    samples = recordings()[SPEECH[0]]
    ours = Frontend(FrontendOptions(window=window, energy="raw" if raw_energy else "windowed"))
    assert_same(ours.process(samples), kaldi_rows(knf.OnlineMfcc(options), samples))


@pytest.mark.parametrize("name", SPEECH)
def test_kaldi_log_mel(name: str) -> None:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    theirs = kaldi_rows(knf.OnlineFbank(options), recordings()[name])
    ours = Frontend(FrontendOptions(feature="log_mel", n_mels=80)).process(recordings()[name])
    assert_same_on(name, ours, theirs)


@pytest.mark.parametrize("name", SPEECH)
@pytest.mark.parametrize(("n_fft", "n_mels", "n_mfcc"), [(512, 40, 13), (2048, 128, 20)])
def test_librosa_mfcc(name: str, n_fft: int, n_mels: int, n_mfcc: int) -> None:
    samples = recordings()[name]
    window_ms = min(64.0, n_fft / 16)
    ours = Frontend(
        FrontendOptions(
            preset="librosa", n_fft=n_fft, window_ms=window_ms, hop_ms=16.0, n_mels=n_mels, n_mfcc=n_mfcc
        )
    )
    power = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=n_fft, win_length=int(window_ms * 16), hop_length=256, n_mels=n_mels
    )
    theirs = librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None), n_mfcc=n_mfcc)
    assert_same(ours.process(samples), theirs.T)


def test_librosa_mfcc_at_its_own_defaults() -> None:
    samples = recordings(22050)[SPEECH[0]]
    ours = Frontend(
        FrontendOptions(
            preset="librosa",
            rate_hz=22050,
            window_ms=2048 / 22.05,
            hop_ms=512 / 22.05,
            n_fft=2048,
            n_mels=128,
            n_mfcc=20,
        )
    )
    power = librosa.feature.melspectrogram(y=samples, sr=22050)
    assert_same(ours.process(samples), librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None)).T)


@pytest.mark.parametrize("name", SPEECH[:2])
def test_librosa_natural_log_mel(name: str) -> None:
    samples = recordings()[name]
    ours = Frontend(FrontendOptions(preset="librosa", feature="log_mel", log="natural"))
    power = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=40
    )
    assert_same(ours.process(samples), np.log(np.maximum(power, 1e-10)).T)


@pytest.mark.parametrize("name", SPEECH)
def test_python_speech_features_mfcc(name: str) -> None:
    samples = recordings()[name]
    theirs = python_speech_features.mfcc(samples * np.float64(32768), nfilt=40, winfunc=np.hamming)
    assert_same(Frontend(FrontendOptions(preset="htk")).process(samples), theirs)


def test_python_speech_features_own_window_bands_and_deltas() -> None:
    samples = recordings()[SPEECH[0]]
    theirs = python_speech_features.mfcc(samples * np.float64(32768))
    slopes = python_speech_features.delta(theirs, 2)
    theirs = np.concatenate([theirs, slopes, python_speech_features.delta(slopes, 2)], axis=1)
    options = FrontendOptions(preset="htk", window="rectangular", n_mels=26, deltas=2)
    assert_same(Frontend(options).process(samples), theirs)


def test_librosa_deltas() -> None:
    samples = recordings()[SPEECH[0]]
    ours = Frontend(FrontendOptions(preset="librosa", deltas=1, delta_window=4)).process(samples)
    theirs = librosa.feature.delta(ours[:, :13], width=9, axis=0, mode="nearest")
    assert_same(ours[:, 13:], theirs)
