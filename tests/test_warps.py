"""A model that hears a window warped as well: what its graph is given, and what becomes of the answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_models
from convert_parts import enliven
from small_models import RATE_HZ, signal
from test_model_file import error_of, repacked

from edge_ser import cli
from edge_ser.bench import Settings, measure_apart
from edge_ser.bench_report import as_record, as_text
from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.frontend import Frontend, FrontendOptions
from edge_ser.live.stream import Stream
from edge_ser.model import Model
from edge_ser.provenance import Conditions, Machine
from edge_ser.warp import dct, misfit, slaney_mel, warp_matrix
from train.backend import configure

configure()

import keras  # noqa: E402

from convert.compiler import Options, compile_model  # noqa: E402

WARPS = [-0.06, 0.06, 0.1]
OPTIONS = FrontendOptions(
    preset="librosa", log="natural", log_floor=1e-6, window_ms=64.0, hop_ms=16.0, n_fft=1024, n_mels=40,
    n_mfcc=24, low_hz=60.0, high_hz=7000.0,
)  # fmt: skip
LABELS = ["anger", "fear", "joy", "neutral", "sadness"]


def network(frames: int, features: int):
    """A random CNN that minds at which frequency something is."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((frames, features))
    x = keras.layers.Reshape((frames, features, 1))(inputs)
    x = keras.layers.Conv2D(4, (7, 3), strides=(5, 2), activation="relu")(x)
    x = keras.layers.Dense(len(LABELS), name="emotion")(keras.layers.Flatten()(x))
    return enliven(keras.Model(inputs, x))


@pytest.fixture(scope="module")
def data() -> bytes:
    """The file of a random CNN on windows of a second, with warps."""
    frontend = Frontend(OPTIONS)
    features = np.stack([frontend.process(signal(small_models.LABELS[n % 3], n)) for n in range(24)])
    mean, std = features.mean(axis=(0, 1)), features.std(axis=(0, 1))
    x = ((features - mean) / std).astype(np.float32)
    graph = compile_model(network(*x.shape[1:]), x, Options(x.shape[1], False)).flatbuffer
    entry = small_models.record("warped", "window", x.shape[1], mean.tolist(), std.tolist(), graph, 1.0, 0.5)
    entry |= {"frontend": OPTIONS.as_dict(), "labels": LABELS, "warps": WARPS}
    entry["input"] |= {"features": OPTIONS.n_mfcc}
    return small_models.with_golden(graph, entry)


@pytest.fixture(scope="module")
def model(data: bytes) -> Model:
    return Model(data, "warped.tflite")


@pytest.fixture(scope="module")
def plain(data: bytes) -> Model:
    """The same without warps."""
    return Model(repacked(data, lambda record: record.pop("warps")), "plain.tflite")


@pytest.fixture(scope="module")
def path(data: bytes, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("model") / "warped.tflite"
    path.write_bytes(data)
    return path


def matrix(warp: float) -> np.ndarray:
    """What a warp does to each cepstrum, by way of its spectrum and numpy's interpolation."""
    basis = dct(OPTIONS.n_mfcc, OPTIONS.n_mels)
    corners = np.linspace(*slaney_mel(np.array([OPTIONS.low_hz, OPTIONS.high_hz])), OPTIONS.n_mels + 2)[1:-1]
    linear = np.array([1000.0, 2000.0])
    per_octave = np.diff(slaney_mel(linear))[0]
    hz = np.where(corners < 15, corners * 200 / 3, 1000 * 2 ** ((corners - 15) / per_octave))
    read_at = slaney_mel(hz * np.exp(warp))
    spectra = [np.interp(read_at, corners, cepstrum @ basis) for cepstrum in np.eye(OPTIONS.n_mfcc)]
    return np.stack([basis @ spectrum for spectrum in spectra])


def codes_of(model: Model, features: np.ndarray) -> np.ndarray:
    scaled = features.astype(np.float32) * model.input_scale + model.input_offset
    return np.clip(np.rint(scaled), -128, 127).astype(np.int8)


def run_by_run(plain: Model, inputs: list[np.ndarray]) -> np.ndarray:
    """Logits [runs, classes] of separate runs of the graph."""
    engine, output = Engine(plain), plain.record["output"]
    codes = np.stack([engine.run(each) for each in inputs]).astype(np.float32)
    return (codes - output["zero_point"]) * np.float32(output["scale"])


def inputs_of(engine: Engine, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What the graph is given, run by run, for a window."""
    seen: list[np.ndarray] = []
    invoke = engine.runtime.invoke

    def spy() -> None:
        seen.append(engine.runtime.input(0).reshape(engine.model.frames, -1).copy())
        invoke()

    with monkeypatch.context() as patch:
        patch.setattr(engine.runtime, "invoke", spy)
        engine.window(samples)
    return seen


# --- the matrix ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warp", [-0.3, -0.06, 0.02, 0.06, 0.3])
def test_the_matrix_reads_the_mel_spectrum_at_the_stretched_frequencies(warp):
    args = (OPTIONS.n_mfcc, OPTIONS.n_mels, OPTIONS.low_hz, OPTIONS.high_hz)
    np.testing.assert_allclose(warp_matrix(warp, *args), matrix(warp), atol=1e-5)
    assert np.abs(warp_matrix(warp, *args) - np.eye(OPTIONS.n_mfcc)).max() > 0.01


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"preset": "kaldi"}, "preset = 'librosa'"),
        ({"feature": "log_mel"}, "feature = 'mfcc'"),
        ({"mel_scale": "htk"}, "mel_scale = 'slaney'"),
        ({"deltas": 1}, "deltas = 0"),
        ({"lifter": 22.0}, "lifter = 0.0"),
        ({"energy": "raw"}, "energy = 'none'"),
        ({"normalize": "sliding"}, "normalize = 'none'"),
        ({"n_mels": 1, "n_mfcc": 1}, "two mel bands"),
    ],
)
def test_features_that_the_matrix_does_not_fit_are_told(changed, reason):
    assert misfit(OPTIONS) == ""
    assert reason in misfit(replace(OPTIONS, **changed))


# --- the engine ---------------------------------------------------------------------------------------------


def test_the_answer_is_the_mean_of_separate_runs_on_warped_features(model, plain):
    engine = Engine(model)
    for seed, label in enumerate(small_models.LABELS):
        samples = signal(label, seed)
        features = Frontend(OPTIONS).process(samples)
        args = (OPTIONS.n_mfcc, OPTIONS.n_mels, OPTIONS.low_hz, OPTIONS.high_hz)
        ways = [features, *(features @ warp_matrix(warp, *args) for warp in WARPS)]
        logits = run_by_run(plain, [codes_of(model, each) for each in ways])
        np.testing.assert_allclose(engine.window(samples), logits.mean(axis=0), atol=1e-5)
        np.testing.assert_array_equal(Engine(plain).window(samples), logits[0])
        assert np.ptp(logits, axis=0).max() > 4 * model.record["output"]["scale"]  # warps are heard


def test_the_first_run_gets_what_the_front_end_itself_writes(model, plain, monkeypatch):
    samples = signal("noise", 5)
    first = inputs_of(Engine(model), samples, monkeypatch)[0]
    [written] = inputs_of(Engine(plain), samples, monkeypatch)
    np.testing.assert_array_equal(first, written)
    np.testing.assert_array_equal(Engine(model).features(samples)[0], written)


def test_a_profile_shifts_the_features_before_they_are_warped(model, monkeypatch):
    engine, samples = Engine(model), signal("high", 3)
    shift = np.zeros(OPTIONS.n_mfcc, np.float32)
    shift[1:6] = [6.0, -4.0, 3.0, 2.0, -2.0]
    engine.adapt(shift)
    seen = inputs_of(engine, samples, monkeypatch)
    features = Frontend(OPTIONS).process(samples) - shift
    for codes, warp in zip(seen, [0.0, *WARPS], strict=True):
        wanted = codes_of(model, features @ matrix(warp)).astype(int)
        assert np.abs(codes - wanted).max() <= 1 and (codes != wanted).mean() < 0.01
    late = codes_of(model, (features + shift) @ matrix(WARPS[-1]) - shift).astype(int)
    assert np.abs(seen[-1] - late).max() > 1
    engine.adapt(np.zeros_like(shift))
    np.testing.assert_array_equal(engine.window(samples), Engine(model).window(samples))


@pytest.mark.parametrize("adapted", [False, True])
def test_silence_behind_a_short_window_stays_silence_in_every_run(model, monkeypatch, adapted):
    engine, samples = Engine(model), signal("low", 4, 0.5)
    if adapted:
        engine.adapt(np.full(OPTIONS.n_mfcc, 8.0, np.float32))
    silence = codes_of(model, Frontend(OPTIONS).process(np.zeros(RATE_HZ, np.float32)))[0]
    seen = inputs_of(engine, samples, monkeypatch)
    first = -(-(len(samples) + OPTIONS.window_length // 2) // OPTIONS.hop_length)
    assert len(seen) == 1 + len(WARPS) and 10 < first < model.frames - 10
    for codes in seen:
        assert (codes[first:] == silence).all()
        assert (codes[:first] != silence).any(axis=1).all()


def test_digital_silence_that_is_in_the_recording_is_not_warped_either(model, monkeypatch):
    sound = signal("low", 4, 0.5)
    padded = np.concatenate([sound, np.zeros(RATE_HZ - len(sound), np.float32)])
    engine = Engine(model)
    for short, whole in zip(
        inputs_of(engine, sound, monkeypatch), inputs_of(engine, padded, monkeypatch), strict=True
    ):
        np.testing.assert_array_equal(short, whole)


# --- those who use it ---------------------------------------------------------------------------------------


def test_a_recording_is_the_mean_over_its_windows_and_a_stream_says_the_same(model):
    sound = np.concatenate([signal("low", 1), signal("noise", 2), signal("high", 3, 0.5)])
    classifier, engine = Classifier(model), Engine(model)
    starts = range(0, len(sound) - RATE_HZ + 1, RATE_HZ // 2)
    logits = np.stack([engine.window(sound[start : start + RATE_HZ]) for start in starts])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    wanted = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    scores = list(classifier.classify(sound).scores.values())
    np.testing.assert_allclose(scores, wanted, atol=1e-6)
    stream = Stream(classifier, vad="energy", uncertain_below=0.0)
    events = [event for at in range(0, len(sound), 1600) for event in stream.feed(sound[at : at + 1600])]
    scored = [event for event in events if getattr(event, "window_scores", None)]
    assert len(scored) >= 3
    for event in scored:
        piece = sound[round(event.start_s * RATE_HZ) : round(event.end_s * RATE_HZ)]
        assert event.window_scores == classifier.classify(piece).scores


def test_the_golden_vector_is_of_the_single_run_and_is_reproduced(model):
    _, features, scores = model.golden()
    assert len(features) == len(scores) == 1
    assert model.self_test("ai_edge_litert").score_difference == 0


def test_info_and_bench_say_how_often_a_window_is_heard(path, capsys, monkeypatch):
    assert cli.run(["info", str(path)]) == 0
    words = (
        "warps       each window is heard 4 times: as it is, and its frequency axis times 0.942, 1.06, 1.11\n"
    )
    assert words in capsys.readouterr().out
    quick = Settings(num_runs=3, warmup_min_secs=0.0, min_secs=0.0)
    result = measure_apart(path, None, quick)
    assert result["runs"] == 4
    calm = Conditions(None, None, None, None)
    text = as_text(as_record(Machine.read(), calm, calm, quick, [result]))
    assert "  hears a window 4 times, warped: invoke is the sum of these runs\n" in text
    engine, runs = Engine(Model.load(path)), []
    monkeypatch.setattr(engine.runtime, "invoke", lambda: runs.append(1))
    engine.invoke_runs()
    assert len(runs) == 4


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "warps", [None, 0.06, "0.06", [0.0], [0.31], [-1], ["0.1"], [True], [0.1, 0.1], [float("nan")],
              [n / 100 for n in range(1, 10)]],
)  # fmt: skip
def test_warps_that_are_none_are_refused(data, warps):
    assert "edge_ser.json: warps is " in error_of(repacked(data, lambda record: record.update(warps=warps)))


def test_eight_warps_and_no_warps_are_read(data):
    eight = [n / 100 for n in range(-4, 5) if n]
    assert Model(repacked(data, lambda r: r.update(warps=eight)), "m").warps == eight
    assert Model(repacked(data, lambda r: r.update(warps=[])), "m").warps == []
    assert Model(repacked(data, lambda r: r.pop("warps")), "m").warps == []


def test_a_model_whose_features_cannot_be_warped_is_refused(window_model, step_model):
    def warp(record):
        record.update(warps=[0.05])

    assert "warps need preset = 'librosa'" in error_of(repacked(window_model.read_bytes(), warp))
    assert "warps is [0.05], it should be an empty list" in error_of(repacked(step_model.read_bytes(), warp))
