"""Calibration's choice, confidence, the file's bytes, fine-tuning: each piece of the converter by itself."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from convert_parts import causal_cnn, recurrent_step, sequences, window_cnn

from train.backend import configure

configure()

import keras  # noqa: E402

from convert import compiler  # noqa: E402
from convert.adapt import ways  # noqa: E402
from convert.calibration import best_range, choose, thinned  # noqa: E402
from convert.compiler import Options, _noise, compile_graph, compile_model  # noqa: E402
from convert.confidence import cross_fitted, fit_temperature, fit_threshold  # noqa: E402
from convert.data import Inputs  # noqa: E402
from convert.finetune import RoundedGraph, fine_tune, rounded  # noqa: E402
from convert.golden import golden_audio  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.integers import Quant  # noqa: E402
from convert.interpret import run_graph  # noqa: E402
from convert.mixtures import MIXTURES, mixtures  # noqa: E402
from convert.modelfile import Golden, pack, to_json, unpack  # noqa: E402
from convert.observe import observe, run_float  # noqa: E402
from convert.parity import utterance_scores  # noqa: E402
from convert.recurrent import Precision  # noqa: E402
from convert.shipped import _figures  # noqa: E402
from train.utterance import Utterance  # noqa: E402


def people(counts):
    return [
        Utterance(f"{speaker}{emotion}{n}.wav", "c", speaker, "", "de", emotion)
        for (speaker, emotion), count in counts.items()
        for n in range(count)
    ]


def test_calibration_takes_as_many_of_every_speaker_and_class():
    utterances = people({("a", "joy"): 20, ("a", "fear"): 1, ("b", "joy"): 3})
    chosen = [utterances[index] for index in choose(utterances, 2, seed=0)]
    cells = [(each.speaker, each.emotion) for each in chosen]
    assert sorted(cells) == [("a", "fear"), ("a", "joy"), ("a", "joy"), ("b", "joy"), ("b", "joy")]
    assert choose(utterances, 2, seed=0) == choose(utterances, 2, seed=0)
    assert choose(utterances, 2, seed=0) != choose(utterances, 2, seed=3)


def test_the_choice_does_not_depend_on_the_order_of_the_list():
    utterances = people({("a", "joy"): 9, ("b", "joy"): 9})
    backwards = utterances[::-1]
    names = {utterances[i].path for i in choose(utterances, 3, 1)}
    assert names == {backwards[i].path for i in choose(backwards, 3, 1)}


def test_a_range_clips_what_is_rare_and_holds_zero():
    rng = np.random.default_rng(0)
    values = rng.laplace(size=20000).astype(np.float32)
    low, high = best_range(values)
    assert values.min() < low < -3 and 3 < high < values.max()
    assert best_range(np.full(10, 3.0, np.float32))[0] == 0.0


def test_thinned_values_come_from_every_unit_of_a_layer():
    """A stride of 12 would meet 16 of 192 units for ever, and their range would be taken for that of all."""
    units = np.tile(np.arange(192, dtype=np.float32), 1000)
    assert len(units) // 17000 + 1 == 12
    few = thinned(units, 17000, 192)
    assert 0.9 * 17000 * 11 / 13 < len(few) <= 17000
    np.testing.assert_array_equal(np.unique(few), np.arange(192))
    np.testing.assert_array_equal(thinned(units[:50], 100, 7), units[:50])


def test_no_unit_of_a_loop_is_missed_by_its_ranges():
    """One unit of 24 has a forget gate far from the others'."""
    inputs = keras.Input((40, 6))
    layer = keras.layers.LSTM(24)
    model = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
    bias = np.asarray(layer.cell.bias).copy()
    bias[24 + 5] = 6.0  # the forget gate of unit 5
    layer.cell.bias.assign(bias)
    graph = build_graph(model, 40, step=False)
    observe(graph, sequences(600, 40, 6))  # so many that every third value would be taken, and unit 5 never
    body = next(op for op in graph.ops if op.kind == "SCAN").options["body"]
    assert next(op for op in body.ops if op.kind == "LOGISTIC").inputs[0].high > 5


def test_no_unit_of_a_layer_is_missed_by_its_ranges():
    """One unit of 24 answers far above the others, at every frame."""
    inputs = keras.Input((40, 6))
    layer = keras.layers.Dense(24)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.ReLU()(layer(inputs))))
    bias = np.zeros(24, np.float32)
    bias[5] = 30.0
    layer.bias.assign(bias)
    graph = build_graph(model, 40, step=False)
    observe(graph, sequences(490, 40, 6))  # so many that every 24th value would be taken, always of unit 0
    assert graph.ops[0].outputs[0].high > 25


def test_the_range_before_a_maximum_is_that_of_the_maxima():
    """One frame in eight is loud, and no other passes the pooling."""
    inputs = keras.Input((64, 4))
    x = keras.layers.MaxPooling1D(8)(keras.layers.Conv1D(6, 3, padding="same")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    x = sequences(60, 64, 4)
    x[:, ::8] *= 9.0
    graph = build_graph(model, 64, step=False)
    observe(graph, x)
    conv = next(op for op in graph.ops if op.kind == "CONV_2D").outputs[0]
    pool = next(op for op in graph.ops if op.kind == "MAX_POOL_2D").outputs[0]
    values = []
    graph.run(
        [x], [], lambda value, array: values.append(np.asarray(array)) or array if value is pool else array
    )
    assert (conv.low, conv.high) == best_range(np.concatenate(values), 8 * 6) == (pool.low, pool.high)


def test_one_clipped_sequence_is_not_taken_for_rounding_noise():
    """It would make the output's step coarse, for nothing: all interpreters clip alike."""
    x = sequences(24, 32, 12)
    model = window_cnn()
    graph = build_graph(model, 32, step=False)
    compiled = compile_graph(graph, x, Options(32, False))
    usual = _noise(graph, compiled, x)
    x[5] *= 8.0
    assert 0.5 * usual < _noise(graph, compiled, x) < 3 * usual
    ints = [
        compiled.logits(each) for each in run_graph(compiled.flatbuffer, [compiled.quantise(e) for e in x])
    ]
    assert np.sqrt(np.mean((np.stack(ints) - run_float(graph, x)) ** 2)) > 6 * usual


@pytest.mark.parametrize("step", [True, False])
def test_an_lstm_cell_ends_where_its_tanh_is_flat_in_eight_bits_only(step):
    model = recurrent_step("lstm", 1)
    cell = next(layer.cell for layer in model.layers if isinstance(layer, keras.layers.LSTM))
    cell.bias.assign(np.asarray(cell.bias) + np.repeat([4.0, 4.0, 0.0, 0.0], 24))  # takes in and keeps all
    reach = {}
    for bits in (8, 16):
        graph = build_graph(model, 2 if step else 60, step, precision=Precision(bits))
        observe(graph, sequences(8, 60, 10))
        scan = next(op for op in graph.ops if op.kind == "SCAN")
        c = scan.options["body"].states[1]
        ends = [(each.low, each.high) for each in (scan.inputs[-1], scan.outputs[-1], c.before, c.after)]
        assert len(set(ends)) == 1
        reach[bits] = max(-c.after.low, c.after.high)
    assert reach[8] == 4.0 and reach[16] > 6.0


@pytest.mark.parametrize("step", [False, True])
def test_int8_leans_to_no_class(step, monkeypatch):
    """What rounding takes off the weights of units that are always loud is the same for all inputs, and is
    given back: half of the sequences lie on either side of float then.
    """
    small = recurrent_step("gru", 1)
    loud = keras.layers.Dense(24, "relu", bias_initializer=keras.initializers.Constant(6.0))
    steps = keras.layers.Dense(5)(loud(small.get_layer("emotion_steps").input))
    model = keras.Model(small.input, keras.layers.GlobalAveragePooling1D()(steps))
    x = sequences(64, 32, 10)
    frames = 2 if step else 32
    exact = run_float(build_graph(model, frames, step), x).mean(axis=1)
    leaning = []
    for centred in (True, False):
        if not centred:
            monkeypatch.setattr(compiler, "_centre", lambda *_: False)
        compiled = compile_model(model, x, Options(frames, step))
        rows = run_graph(compiled.flatbuffer, [compiled.quantise(each) for each in x])
        ints = np.stack([compiled.logits(each).mean(axis=0) for each in rows])
        leaning.append(np.abs(np.median(ints - exact, axis=0)).max())
    assert leaning[0] < 0.5 * leaning[1]


def test_a_model_sure_of_all_it_knows_hesitates_between_two():
    rng = np.random.default_rng(0)
    people = [Utterance(f"{n}.wav", "c", "a", "", "de", ["joy", "fear", "rage"][n % 3]) for n in range(6)]
    centres = 4 * np.eye(3, dtype=np.float32)
    owners = np.repeat(np.arange(6), 2)  # two windows each
    features = [(centres[n % 3] + 0.1 * rng.standard_normal((5 + n, 3))).astype(np.float32) for n in owners]
    known = Inputs(features, owners)
    mixed, labels = mixtures(known, people)
    assert len(labels) == MIXTURES and mixed.owners.max() == MIXTURES - 1
    assert {each.path: labels.count(each) for each in people} == {
        each.path: MIXTURES // 6 + (n < MIXTURES % 6) for n, each in enumerate(people)
    }

    def margins(inputs):
        scores = np.stack([each.mean(axis=0) for each in inputs.features])
        ordered = np.sort(scores, axis=1)
        return ordered[:, -1] - ordered[:, -2]

    assert margins(known).min() > 3.5
    assert 0.03 < np.mean(margins(mixed) < 0.4) < 0.2  # evenly from none to all
    first, second = (np.flatnonzero(mixed.owners == number) for number in (0, MIXTURES - 1))
    assert len(first) == len(second) == 2
    again, _ = mixtures(known, people)
    assert all((a == b).all() for a, b in zip(mixed.features, again.features, strict=True))


def overconfident(seed, n=4000, factor=3.0):
    """Logits whose softmax is true, times ``factor``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = np.array([rng.choice(4, p=row) for row in shares])
    return (factor * logits).astype(np.float32), np.arange(n), true


def test_the_temperature_that_was_put_in_is_found():
    logits, owners, true = overconfident(1)
    assert fit_temperature(logits, owners, true) == pytest.approx(3.0, rel=0.08)


def test_below_the_threshold_fewer_than_half_are_right():
    logits, owners, true = overconfident(2)
    scores = utterance_scores(logits, owners, 3.0)
    threshold = fit_threshold(scores, true)
    low = scores.max(axis=1) < threshold
    assert 0.4 < threshold < 0.6
    assert 0.02 < low.mean() <= 0.21
    assert (scores.argmax(axis=1) == true)[low].mean() < 0.5


def test_a_model_that_is_always_right_never_abstains():
    scores = np.eye(3)[np.arange(60) % 3] * 0.8 + 0.05
    assert fit_threshold(scores, np.arange(60) % 3) == 0.0


def test_each_speaker_is_judged_by_what_the_others_taught():
    logits, owners, true = overconfident(3, n=1200)
    figures = cross_fitted(logits, owners, true, [f"s{n % 6}" for n in range(1200)])
    assert figures["ece_after"] < 0.5 * figures["ece_before"]
    assert figures["accuracy_of_answers"] > figures["accuracy_of_all"] > figures["accuracy_of_the_uncertain"]


def test_windows_of_an_utterance_are_averaged_as_probabilities():
    scores = utterance_scores(np.array([[9.0, 0], [0, 9], [9, 0]], np.float32), np.array([0, 0, 1]))
    np.testing.assert_allclose(scores, [[0.5, 0.5], [1.0, 0.0]], atol=2e-4)


def test_packing_is_deterministic_and_readable_by_any_zip_tool():
    golden = Golden(golden_audio(16000), np.zeros((4, 2), np.int8), np.ones((1, 2), np.int8))
    record = {"labels": ["a", "ü"], "graph": {"ops": []}, "mean": np.array([0.1, 2e-7], np.float32)}
    data = pack(b"TFL3graph", record, "# card\n", golden)
    assert data == pack(b"TFL3graph", record, "# card\n", golden)
    assert data.startswith(b"TFL3graph")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        read = json.loads(archive.read("edge_ser.json"))
        assert archive.read("labels.txt").decode() == "a\nü\n"
        assert len(archive.read("golden/audio.s16")) == 32000
    assert read["graph"]["bytes"] == 9
    np.testing.assert_array_equal(np.array(read["mean"], np.float32), record["mean"])


def test_lists_of_numbers_stand_on_one_line():
    text = to_json({"mean": [1.5, -2.0, 3e-9], "labels": ["a", "b"]})
    assert '"mean": [1.5, -2.0, 3e-09]' in text


def test_golden_audio_is_a_second_of_changing_voice_that_compresses():
    import zlib

    audio = golden_audio(16000)
    assert len(audio) == 16000 and np.abs(audio).max() > 20000
    assert len(zlib.compress(audio.tobytes(), 9)) < 4000


def test_rounding_passes_gradients_inside_its_range_only():
    import tensorflow as tf

    x = tf.Variable([0.26, -5.0, 1.0])
    with tf.GradientTape() as tape:
        y = rounded(x, Quant(0.5, -128))  # holds 0 to 127.5
    np.testing.assert_allclose(y, [0.5, 0.0, 1.0])
    np.testing.assert_allclose(tape.gradient(y, x), [1.0, 0.0, 1.0])


@pytest.mark.parametrize("make", [causal_cnn, lambda: recurrent_step("gru", 1)])
def test_training_rounds_as_the_file_does(make):
    """The rounded graph that fine-tuning sees is within a few steps of the int8 graph that is written."""
    calibration, x = sequences(12, 24, 10), sequences(4, 24, 10, seed=2)
    graph = build_graph(make(), 2, step=True)
    observe(graph, calibration)
    trained_on = np.asarray(RoundedGraph(graph)(x))
    compiled = compile_graph(build_graph(make(), 2, step=True), calibration, Options(2, True))
    ints = np.stack(
        [compiled.logits(rows) for rows in run_graph(compiled.flatbuffer, [compiled.quantise(e) for e in x])]
    )
    exact = run_float(graph, x)
    assert np.abs(trained_on - exact).max() > 0
    assert np.sqrt(np.mean((trained_on - ints) ** 2)) < 1.5 * np.sqrt(np.mean((ints - exact) ** 2))


@pytest.mark.parametrize("loud", [1, 30])
def test_fine_tuning_brings_int8_nearer_to_float(loud):
    """Weights with an outlier in every channel quantise badly; a few epochs make up for it, also of a model
    that is sure of everything: its probabilities, nearly 0 and 1, would teach nothing.
    """
    model = recurrent_step("gru", 1)
    head = model.get_layer("emotion_steps").kernel
    head.assign(loud * np.asarray(head))
    kernel = next(layer for layer in model.layers if "conv" in layer.name).kernel
    array = np.asarray(kernel).copy()
    array[0, 0, :] = 12.0
    kernel.assign(array)
    calibration, x = sequences(256, 4, 10), sequences(16, 40, 10, seed=2)  # many steps: their mean is finer
    calibration[..., 0] *= 0.05
    x[..., 0] *= 0.05
    expected = np.asarray(model(x, training=False))
    errors = []
    for epochs in (0, 8):
        compiled = compile_model(model, calibration, Options(2, True, fine_tune=epochs), calibration)
        rows = run_graph(compiled.flatbuffer, [compiled.quantise(each) for each in x])
        means = np.stack([compiled.logits(each).mean(axis=0) for each in rows])
        errors.append(np.sqrt(np.mean((means - expected) ** 2)))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize(("frames", "step"), [(40, False), (121, False), (121, True)])
def test_loops_too_long_to_unroll_are_not_fine_tuned_unasked(frames, step):
    inputs = keras.Input((frames, 4))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(3)(inputs)))
    found = ways(Options(frames, step), model)
    tuned = [way.fine_tune > 0 for way in found.values()]
    assert tuned == ([False, True] * 2 if step else [False, False, True, True][: len(found)])
    assert len(found) == (2 if frames > 120 and not step else 4)


def test_fine_tuning_is_repeatable():
    x = sequences(16, 2, 10)
    losses = []
    for _ in range(2):
        graph = build_graph(causal_cnn(), 2, step=True)
        observe(graph, x)
        losses.append(fine_tune(graph, x, epochs=2, seed=4))
    assert losses[0] == losses[1]


def test_the_figures_of_a_shipped_model_are_those_that_were_measured(window_model, tmp_path):
    graph, record = unpack(window_model)
    speakers = {
        "protocol": "speakers apart", "seeds": [1], "uar": {"int8": 0.75}, "wa": {"int8": 0.8},
    }  # fmt: skip
    strangers = {"strangers": {"rows": [{}, {}], "mean": {"plain": {"uar": 0.5}}}}

    def said(evaluation):
        path = tmp_path / "m.tflite"
        path.write_bytes(pack(graph, {**record, "evaluation": evaluation}, ""))
        return _figures(path)

    assert said(speakers) == "UAR 75.0 %, WA 80.0 % (int8; speakers apart, seeds [1])"
    assert said(strangers) == "UAR 50.0 % (int8; mean of 2 corpora that training had not heard)"
    assert said(speakers | strangers).count("UAR") == 2
    assert said({}).startswith("no figures in ")
