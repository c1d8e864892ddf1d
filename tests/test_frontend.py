"""Streaming equals batch, odd input gives finite numbers, misuse gives one line."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser import AudioError, ConfigError, EdgeSerError, Frontend, FrontendOptions

NOISE = (np.random.default_rng(1).standard_normal(16000) * 0.1).astype(np.float32)


def stream(
    frontend: Frontend, samples: np.ndarray, cuts: list[int], pull_each_time: bool = True
) -> np.ndarray:
    """Features of samples pushed in the pieces between the cuts."""
    frontend.reset()
    rows = []
    for start, end in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        frontend.push(samples[start:end])
        if pull_each_time:
            rows.append(frontend.pull())
    frontend.finish()
    return np.concatenate([*rows, frontend.pull()])


option_sets = st.builds(
    FrontendOptions,
    preset=st.sampled_from(["kaldi", "librosa", "htk"]),
    feature=st.sampled_from(["mfcc", "log_mel"]),
    framing=st.sampled_from(["snip", "mirror", "center", "tail"]),
    energy=st.sampled_from(["none", "raw", "windowed", "spectrum"]),
    deltas=st.integers(0, 2),
    delta_window=st.integers(1, 3),
    normalize=st.sampled_from(["none", "utterance", "sliding"]),
    normalize_variance=st.booleans(),
    normalize_s=st.sampled_from([0.01, 0.3]),
    hop_ms=st.sampled_from([4.0, 10.0, 25.0]),
)


@settings(max_examples=150, deadline=None)
@given(
    options=option_sets,
    n_samples=st.one_of(st.sampled_from([0, 1, 79, 80, 399, 400, 401, 560]), st.integers(0, 16000)),
    data=st.data(),
)
def test_streaming_in_any_pieces_gives_the_bits_of_one_call(
    options: FrontendOptions, n_samples: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, n_samples), max_size=12)))
    frontend = Frontend(options)
    whole = frontend.process(NOISE[:n_samples])
    pieces = stream(frontend, NOISE[:n_samples], cuts, data.draw(st.booleans()))
    assert whole.shape == (frontend.n_frames(n_samples), frontend.n_features)
    assert whole.tobytes() == pieces.tobytes()


@settings(max_examples=30, deadline=None)
@given(options=option_sets, n_samples=st.integers(0, 4000), seed=st.integers(0, 99))
def test_int8_features_are_the_float_features_quantised_afterwards(
    options: FrontendOptions, n_samples: int, seed: int
) -> None:
    frontend = Frontend(options)
    rng = np.random.default_rng(seed)
    scale = (10 ** rng.uniform(-2, 3, frontend.n_features)).astype(np.float32)
    offset = rng.uniform(-200, 200, frontend.n_features).astype(np.float32)
    rows = frontend.process(NOISE[:n_samples])
    quantised = np.full((len(rows) + 2, frontend.n_features), 77, np.int8)
    assert frontend.process_int8(NOISE[:n_samples], scale, offset, quantised) == len(rows)
    expected = np.clip(np.rint(rows * scale + offset), -128, 127)
    assert (quantised[: len(rows)] == expected).all()
    assert (quantised[len(rows) :] == 77).all()


@pytest.mark.parametrize(
    ("framing", "counts"),
    [
        ("snip", {0: 0, 1: 0, 399: 0, 400: 1, 401: 1, 559: 1, 560: 2, 16000: 98}),
        ("mirror", {0: 0, 1: 0, 79: 0, 80: 1, 239: 1, 240: 2, 400: 3, 16000: 100}),
        ("center", {0: 0, 1: 1, 159: 1, 160: 2, 400: 3, 16000: 101}),
        ("tail", {0: 0, 1: 1, 399: 1, 400: 1, 401: 2, 560: 2, 561: 3, 16000: 99}),
    ],
)
def test_the_number_of_frames(framing: str, counts: dict[int, int]) -> None:
    frontend = Frontend(FrontendOptions(framing=framing))
    for n_samples, n_frames in counts.items():
        assert frontend.n_frames(n_samples) == n_frames
        assert frontend.process(NOISE[:n_samples]).shape == (n_frames, 13)


@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(2000),
        np.ones(2000),
        np.tile([1.0, -1.0], 1000),
        np.full(2000, 1e-40),
        np.full(2000, 1e-20),
        np.full(2000, 3e38),
        np.full(2000, np.nan),
        np.full(2000, np.inf),
        np.tile([np.inf, -np.inf, np.nan, 1.0], 500),
        np.tile([3e38, -3e38], 1000),
    ],
    ids=["silence", "dc", "square", "denormal", "tiny", "huge", "nan", "inf", "mixed", "huge square"],
)
@pytest.mark.parametrize("feature", ["mfcc", "log_mel"])
def test_odd_input_gives_finite_features(preset: str, samples: np.ndarray, feature: str) -> None:
    options = FrontendOptions(preset=preset, feature=feature, energy="raw", normalize_variance=True)
    for normalize in ("none", "utterance", "sliding"):
        frontend = Frontend(FrontendOptions(**{**options.as_dict(), "normalize": normalize}))
        assert np.isfinite(frontend.process(samples.astype(np.float32))).all()


def test_silence_is_the_logarithm_of_the_floor() -> None:
    rows = Frontend(FrontendOptions(feature="log_mel")).process(np.zeros(1000, np.float32))
    assert rows == pytest.approx(np.log(2.0**-23), abs=1e-6)


def test_bad_samples_are_replaced_by_zero_and_counted() -> None:
    bad = NOISE[:4000].copy()
    bad[[5, 700, 3999]] = np.nan, np.inf, -np.inf
    zeroed = NOISE[:4000].copy()
    zeroed[[5, 700, 3999]] = 0
    frontend = Frontend()
    expected = frontend.process(zeroed)
    assert frontend.bad_samples == 0
    assert (frontend.process(bad) == expected).all()
    assert frontend.bad_samples == 3
    frontend.reset()
    assert frontend.bad_samples == 0
    frontend.push(bad[:1000])
    assert frontend.bad_samples == 2


def test_reset_makes_the_second_signal_independent_of_the_first() -> None:
    frontend = Frontend(FrontendOptions(deltas=2, normalize="sliding"))
    first = stream(frontend, NOISE[:5000], [100, 3000])
    frontend.reset()
    frontend.push(NOISE[7000:9000])
    assert (stream(frontend, NOISE[:5000], [4000]) == first).all()


def test_utterance_normalisation_delivers_after_finish() -> None:
    frontend = Frontend(FrontendOptions(normalize="utterance"))
    frontend.push(NOISE)
    assert frontend.pull().shape == (0, 13)
    frontend.finish()
    rows = frontend.pull()
    assert rows.shape == (98, 13)
    assert np.abs(rows.mean(axis=0)).max() < 1e-5


def test_pulled_rows_wait_for_the_samples_of_their_deltas() -> None:
    frontend = Frontend(FrontendOptions(deltas=2, delta_window=2))
    frontend.push(NOISE[: 400 + 4 * 160 - 1])
    assert len(frontend.pull()) == 0
    frontend.push(NOISE[400 + 4 * 160 - 1 : 400 + 4 * 160])
    assert len(frontend.pull()) == 1


def test_float64_and_strided_samples_are_accepted() -> None:
    frontend = Frontend()
    doubled = np.repeat(NOISE, 2)
    assert (frontend.process(doubled[::2]) == frontend.process(NOISE)).all()
    assert (frontend.process(NOISE.astype(np.float64)) == frontend.process(NOISE)).all()


def test_instances_in_threads_are_independent() -> None:
    expected = Frontend().process(NOISE)
    wrong = []

    def work() -> None:
        frontend = Frontend()
        for _ in range(30):
            if not (frontend.process(NOISE) == expected).all():
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_one_instance_in_two_threads_is_an_error_or_right_but_never_wrong() -> None:
    frontend, long = Frontend(), np.tile(NOISE, 200)
    expected = Frontend().process(long)
    outcomes: list[object] = []

    def work() -> None:
        for _ in range(3):
            try:
                outcomes.append((frontend.process(long) == expected).all())
            except EdgeSerError:
                outcomes.append(True)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    assert all(outcomes)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 100), np.float32), np.zeros(100, np.int16), [0.0] * 100, None, b"00000000"]
)
def test_what_is_not_a_vector_of_floats_is_an_audio_error(samples: object) -> None:
    for method in (Frontend().process, Frontend().push):
        with pytest.raises(AudioError, match="one-dimensional array of floats"):
            method(samples)  # type: ignore[arg-type]


def test_pushing_after_finish_is_an_audio_error() -> None:
    frontend = Frontend()
    frontend.push(NOISE[:500])
    frontend.finish()
    with pytest.raises(AudioError, match="call reset"):
        frontend.push(NOISE)


def test_int8_output_of_the_wrong_size_is_a_config_error() -> None:
    ones = np.ones(13, np.float32)
    with pytest.raises(ConfigError, match="98 x 13"):
        Frontend().process_int8(NOISE, ones, ones, np.zeros((97, 13), np.int8))
    with pytest.raises(ConfigError, match="98 x 13"):
        Frontend().process_int8(NOISE, ones, ones, np.zeros((98, 12), np.int8))
    with pytest.raises(ConfigError, match="13 values"):
        Frontend().process_int8(NOISE, ones[:12], ones, np.zeros((98, 13), np.int8))
    for out in (np.zeros((98, 13), np.uint8), np.zeros(98 * 13, np.int8)):
        with pytest.raises(ConfigError, match="int8 array of frames and features"):
            Frontend().process_int8(NOISE, ones, ones, out)
