"""A step model over a recording: its chunks, its last one, its segments."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import RATE_HZ, signal

from convert.modelfile import pack, unpack
from edge_ser import Classifier
from edge_ser.engine import Engine
from edge_ser.frontend import Frontend
from edge_ser.model import Model


@pytest.fixture(scope="module")
def stepper(step_model) -> Classifier:
    return Classifier(step_model)


def by_hand(model: Model, samples: np.ndarray) -> np.ndarray:
    """Logits of each step, computed with nothing but the front end and single runs."""
    n = model.frames
    x = Frontend(model.frontend).process(samples)
    if len(x) < n:
        x = Frontend(model.frontend).process(np.concatenate([samples, np.zeros((n + 3) * 160, np.float32)]))[
            :n
        ]
    x = x[: len(x) // n * n]
    codes = np.clip(np.rint(x * model.input_scale + model.input_offset), -128, 127).astype(np.int8)
    engine = Engine(model)
    raw = np.array([engine.run(chunk) for chunk in codes.reshape(-1, n, x.shape[1])], np.float64)
    output = model.record["output"]
    return (raw - output["zero_point"]) * output["scale"]


@pytest.mark.parametrize("n", [2, 399, 400, 1519, 1520, 1521, 16000, 33333])
def test_a_step_model_is_the_softmax_of_the_mean_logits_of_all_its_steps(stepper, n):
    samples = signal("low", 21, 3.0)[:n]
    logits = by_hand(stepper.model, samples)
    powers = np.exp(logits.mean(axis=0))
    prediction = stepper.classify(samples)
    assert list(prediction.scores.values()) == pytest.approx(powers / powers.sum(), abs=1e-5)
    assert prediction.segments[-1].end_s == prediction.duration_s == n / RATE_HZ


@pytest.mark.parametrize("framing", ["snip", "mirror", "center", "tail"])
@pytest.mark.parametrize("n", [1, 700, 1280, 1519, 1521, 20800])
def test_a_step_model_hears_the_same_in_any_chunking(step_model, framing, n):
    """And of the frames that the front end gives the whole recording, as in training, all whole chunks."""
    graph, entry = unpack(step_model)
    entry["frontend"]["framing"] = framing
    model = Model(pack(graph, entry, ""), framing)
    samples = signal("high", 4, 1.3)[:n]
    frames = Frontend(model.frontend).process(samples)
    engine = Engine(model)
    codes = engine.features(samples)
    assert len(codes) == max(1, len(frames) // model.frames)
    if len(frames) >= model.frames:
        expected = np.rint(frames[: len(codes) * model.frames] * model.input_scale + model.input_offset)
        np.testing.assert_array_equal(codes.reshape(-1, frames.shape[1]), np.clip(expected, -128, 127))
    wanted = np.concatenate([engine.push(samples), engine.finish()])
    assert len(wanted) == len(codes)
    for size in (1, 159, 160, 1000):
        given = [engine.push(samples[i : i + size]) for i in range(0, len(samples), size)]
        assert np.array_equal(np.concatenate([*given, engine.finish()]), wanted)


def test_what_does_not_fill_a_last_chunk_does_not_count(stepper):
    """Four chunks of 8 frames, 10 ms apart and 25 ms long, end at 5360 samples, the fifth at 6640."""
    samples = signal("low", 21, 3.0)
    samples[5360:] = signal("noise", 3, 3.0)[5360:]
    wanted = stepper.classify(samples[:5360]).scores
    assert stepper.classify(samples[:5359]).scores != wanted
    assert stepper.classify(samples[:6639]).scores == wanted
    assert stepper.classify(samples[:6640]).scores != wanted


def test_of_less_than_a_chunk_there_is_one_that_silence_completes(stepper):
    short = signal("low", 21)[:1519]
    completed = np.concatenate([short, np.zeros(1, np.float32)])
    assert stepper.classify(short).scores == stepper.classify(completed).scores


@pytest.fixture(scope="module")
def repeating(step_model) -> Classifier:
    """Ten chunks of 80 ms at least."""
    graph, entry = unpack(step_model)
    entry["window"]["repeat_to_s"] = 0.8
    return Classifier(Model(pack(graph, entry, ""), "repeating"))


@pytest.mark.parametrize("n", [2, 1519, 1521, 8000, 12000, 13199, 13200, 33333])
def test_a_short_recording_is_heard_again_until_it_is_long_enough(repeating, stepper, n):
    """The tenth chunk ends at 13040 samples; of a longer recording nothing is heard twice."""
    samples = signal("low", 21, 3.0)[:n]
    once, again = (each.engine.features(samples) for each in (stepper, repeating))
    assert len(again) == max(len(once), 10)
    np.testing.assert_array_equal(again, once[np.arange(len(again)) % len(once)])
    engine = Engine(repeating.model)
    raw = np.array([engine.run(chunk) for chunk in again], np.float64)
    output = repeating.model.record["output"]
    powers = np.exp(((raw - output["zero_point"]) * output["scale"]).mean(axis=0))
    prediction = repeating.classify(samples)
    assert list(prediction.scores.values()) == pytest.approx(powers / powers.sum(), abs=1e-5)
    for size in (1, 160, 1000):
        given = [repeating.engine.push(samples[i : i + size]) for i in range(0, n, size)]
        logits = np.concatenate([*given, repeating.engine.finish()])
        np.testing.assert_allclose(logits, (raw - output["zero_point"]) * output["scale"], atol=1e-6)


def test_hearing_again_leaves_a_stream_where_it_was(repeating, stepper):
    samples = signal("low", 21, 2.0)
    whole = np.concatenate([stepper.engine.push(samples), stepper.engine.finish()])
    engine, parts = repeating.engine, []
    for start in range(0, len(samples), 1600):
        parts.append(engine.push(samples[start : start + 1600]))
        heard = sum(map(len, parts))
        assert len(engine.again()) == (max(10 - heard, 0) if heard else 0)
    np.testing.assert_array_equal(np.concatenate([*parts, engine.finish()]), whole)


def test_step_segments_are_a_hop_each(stepper):
    segments = stepper.classify(signal("low", 4, 1.75)).segments
    assert [(segment.start_s, segment.end_s) for segment in segments] == [
        (0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 1.75)
    ]  # fmt: skip


def test_a_hop_that_completes_no_step_has_the_answer_of_its_neighbour(step_model):
    stepper = Classifier(step_model)
    last = stepper.classify(signal("low", 4, 1.04)).segments
    assert [segment.end_s for segment in last] == [0.5, 1.0, 1.04]
    assert last[2].scores == last[1].scores != last[0].scores
    stepper.model.hop_s = 0.04  # the first step is complete after 95 ms, the second after 175
    first = stepper.classify(signal("low", 4, 0.2)).segments
    assert first[0].scores == first[1].scores == first[2].scores == first[3].scores != first[4].scores
    assert first[4].scores != {}


def test_a_sound_too_short_for_a_step_behind_silence_is_not_called_silence(stepper):
    samples = np.concatenate([np.zeros(RATE_HZ, np.float32), signal("low", 4, 0.02)])
    prediction = stepper.classify(samples)
    assert (prediction.label, prediction.notes) == ("no speech", ["no voice: no speech to classify"])
