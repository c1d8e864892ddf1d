"""The first convolutions over a plane of features become ones over positions: fast, and the same numbers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from convert_parts import enliven, sequences
from tflite_venv import tflite_python

from train.backend import configure

configure()

import keras  # noqa: E402

from convert.compiler import LOOPS_FROM, Options, compile_model  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.integers import quantise  # noqa: E402
from convert.interpret import run_elsewhere, run_graph  # noqa: E402
from convert.lower import Lowering  # noqa: E402
from convert.observe import observe, run_float  # noqa: E402
from convert.positions import Span  # noqa: E402
from convert.stem import pack_stem  # noqa: E402
from train.models import Shape, conv_gru, light_cnn  # noqa: E402
from train.models.layers import FrameMask, MaskedMean  # noqa: E402

FRAMES, FEATURES, CHUNK = 32, 16, 16


def light(**options):
    chosen = {"stem": 6, "stem_pool": [1, 2], "time_stride": 4, "widths": [8], "pools": [[2, 2]], "head": 8}
    keras.utils.set_random_seed(2)
    shape = Shape(FRAMES, FEATURES, 5)
    return enliven(light_cnn.build(shape, light_cnn.Options(**(chosen | options))))


def streaming():
    keras.utils.set_random_seed(3)
    options = conv_gru.Options(stem=6, widths=[8, 8, 8], head=8, units=6)
    return enliven(conv_gru.build(Shape(None, FEATURES, 5), options))


def plain_stem(*convolutions, pad=None, pool=keras.layers.MaxPooling2D):
    """Paths of these (channels, kernel, strides, padding), pooled, over a plane."""
    layers = keras.layers
    keras.utils.set_random_seed(4)
    inputs = keras.Input((FRAMES, FEATURES))
    plane = layers.Reshape((FRAMES, FEATURES, 1))(inputs)
    seen = layers.ZeroPadding2D(pad)(plane) if pad else plane
    paths = [
        layers.Conv2D(channels, kernel, strides=strides, padding=padding, activation="relu")(seen)
        for channels, kernel, strides, padding in convolutions
    ]
    paths = [pool((1, 2))(path) if pool else path for path in paths]
    x = layers.Concatenate()(paths) if len(paths) > 1 else paths[0]
    x = layers.Flatten()(layers.Conv2D(4, 3, strides=4, activation="relu")(x))
    return enliven(keras.Model(inputs, layers.Dense(5, name="emotion")(x)))


WINDOWS = {
    "as it ships": lambda: light(stem=10, stem_kernels=[[11, 1], [3, 9], [3, 3]]),
    "two frames at a time": lambda: light(stem=3, stem_kernels=[[11, 1], [1, 9], [3, 3]], time_stride=2),
    "kernels of even size": lambda: light(stem_kernels=[[4, 4], [8, 2], [6, 1]]),
    "longer than wide": lambda: light(stem_kernels=[[19, 3], [13, 5]], stem_pool=[2, 1]),
    "eight frames at a time": lambda: light(stem_kernels=[[9, 5], [5, 9]], time_stride=8),
    "without pools": lambda: plain_stem((5, (7, 5), (4, 1), "same"), (3, (3, 3), (4, 1), "same"), pool=None),
    "padded by a layer": lambda: plain_stem((5, (12, 9), (4, 1), "valid"), pad=((8, 0), (4, 4))),
    "one coefficient, nothing padded": lambda: plain_stem((5, (4, 1), (4, 1), "valid")),
}


def observed(model, frames, step=False):
    graph = build_graph(model, frames, step)
    x = sequences(8, FRAMES, FEATURES, seed=8)
    graph.inputs[0].low, graph.inputs[0].high = float(x.min()), float(x.max())
    observe(graph, x)
    return graph


def packed(model, frames=FRAMES, step=False):
    graph = observed(model, frames, step)
    pack_stem(graph)
    return graph


def kinds(graph):
    return [op.kind for op in graph.ops]


def codes(graph, x, plain):
    lowering = Lowering(graph, LOOPS_FROM)
    rows = [quantise(each, lowering.quants[graph.inputs[0]]) for each in x]
    return np.stack(run_graph(lowering.run(), rows, plain=plain)).astype(int)


@pytest.mark.parametrize("name", list(WINDOWS))
def test_a_packed_window_computes_what_keras_does(name):
    model, x = WINDOWS[name](), sequences(4, FRAMES, FEATURES)
    graph = packed(model)
    assert "TRANSPOSE" in kinds(graph)
    reads_a_plane = [op for op in graph.ops if op.kind == "CONV_2D" and op.inputs[0].shape[3] == 1]
    assert not reads_a_plane
    np.testing.assert_allclose(run_float(graph, x)[:, 0], model(x, training=False), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("chunk", [CHUNK, 2 * CHUNK])
def test_a_packed_step_computes_what_keras_does_over_the_whole(chunk):
    model, x = streaming(), sequences(3, 4 * CHUNK, FEATURES)
    graph = packed(model, chunk, step=True)
    assert graph.states[0].before.shape == (1, 2, FEATURES // 2, 8)  # the ring holds positions: 2 x 4 frames
    means = run_float(graph, x).mean(axis=1)
    np.testing.assert_allclose(means, model(x, training=False), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("plain", [False, True], ids=["xnnpack", "tflite"])
@pytest.mark.parametrize("name", ["longer than wide", "padded by a layer", "one coefficient, nothing padded"])
def test_a_path_by_itself_keeps_its_int8_outputs_to_the_bit(name, plain):
    model, x = WINDOWS[name](), sequences(12, FRAMES, FEATURES, seed=9)
    before, after = observed(model, FRAMES), packed(model)
    assert kinds(before).count("CONV_2D") == kinds(after).count("CONV_2D")  # none was joined
    said = codes(before, x, plain)
    assert np.ptp(said) > 50
    np.testing.assert_array_equal(codes(after, x, plain), said)


@pytest.mark.parametrize("plain", [False, True], ids=["xnnpack", "tflite"])
def test_the_pool_of_a_position_is_a_convolution_and_keeps_int8_outputs_to_the_bit(plain):
    model, x = light(stem_kernels=[[11, 1]]), sequences(12, FRAMES, FEATURES, seed=9)
    before, after = observed(model, FRAMES), packed(model)
    pools = [op for op in before.ops if op.kind == "DEPTHWISE_CONV_2D" and op.inputs[0].shape[2] == FEATURES]
    assert [op.inputs[1].shape for op in pools] == [(1, 1, 2, 6)]
    filters = [op.inputs[1].shape for op in after.ops if op.kind == "CONV_2D"]
    assert filters[:2] == [(12, 3, 1, 8), (6, 1, 1, 12)]
    assert FEATURES not in [op.inputs[0].shape[2] for op in after.ops if op.kind == "DEPTHWISE_CONV_2D"]
    said = codes(before, x, plain)
    assert np.ptp(said) > 50
    np.testing.assert_array_equal(codes(after, x, plain), said)


@pytest.mark.parametrize("pool", [[2, 2], [1, 4], [2, 1]])
def test_a_pool_of_more_or_less_than_a_position_stays_a_pool(pool):
    model, x = light(stem_kernels=[[11, 1]], stem_pool=pool), sequences(4, FRAMES, FEATURES)
    graph = packed(model)
    assert tuple(pool) in {
        tuple(op.inputs[1].shape[1:3]) for op in graph.ops if op.kind == "DEPTHWISE_CONV_2D"
    }
    np.testing.assert_allclose(run_float(graph, x)[:, 0], model(x, training=False), atol=2e-6, rtol=1e-5)


def test_paths_of_one_span_become_one_convolution_and_one_pool():
    """[3, 9] and [3, 3] see one position of frames, [11, 1] three: joined with it, they would cost more."""
    graph = packed(WINDOWS["as it ships"]())
    stem = [op for op in graph.ops if op.kind == "CONV_2D" and op.inputs[0].shape[3] == 8][:2]
    assert {op.inputs[1].shape for op in stem} == {(20, 3, 1, 8), (40, 1, 5, 8)}
    [joined] = [op for op in graph.ops if op.kind == "CONCATENATION"]
    assert [value.shape[3] for value in joined.inputs] == [10, 20]


def test_what_cannot_be_packed_stays_as_it_is():
    odd_frames = plain_stem((4, (3, 3), (3, 1), "same"))  # 3 does not divide 32
    steps_across = plain_stem((4, (3, 3), (4, 2), "same"))
    not_strided = plain_stem((4, (3, 3), (1, 1), "same"))
    narrower = plain_stem((4, (4, 3), (4, 1), "valid"))
    for model in (odd_frames, steps_across, not_strided, narrower):
        graph = observed(model, FRAMES)
        before = copy.copy(graph.ops)
        pack_stem(graph)
        assert graph.ops == before


@pytest.mark.parametrize("across", [0, 2])
def test_past_frames_that_two_paths_share_stay_frames(across):
    layers = keras.layers
    inputs = keras.Input((None, FEATURES))
    mask = FrameMask(CHUNK)(inputs)
    plane = layers.Reshape((-1, FEATURES, 1))(inputs)
    past = layers.ZeroPadding2D(((8, 0), (across, across)))(plane)
    kernel = (12, 2 * across + 1)
    paths = [layers.Conv2D(n, kernel, strides=(4, 1), activation="relu")(past) for n in (4, 6)]
    x = layers.AveragePooling2D((4, FEATURES))(layers.Concatenate()(paths))
    steps = layers.Dense(5)(layers.Reshape((-1, 10))(x))
    model = enliven(keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask)))
    graph, x = packed(model, CHUNK, step=True), sequences(3, 4 * CHUNK, FEATURES)
    assert "TRANSPOSE" not in kinds(graph)
    means = run_float(graph, x).mean(axis=1)
    np.testing.assert_allclose(means, model(x, training=False), atol=2e-6, rtol=1e-5)


def test_a_path_into_the_past_may_be_wide():
    layers = keras.layers
    inputs = keras.Input((None, FEATURES))
    mask = FrameMask(CHUNK)(inputs)
    plane = layers.Reshape((-1, FEATURES, 1))(inputs)
    past = layers.ZeroPadding2D(((7, 0), (2, 2)))(plane)
    x = layers.Conv2D(6, (11, 5), strides=(4, 1), activation="relu")(past)
    steps = layers.Dense(5)(layers.Reshape((-1, 6))(layers.AveragePooling2D((4, FEATURES))(x)))
    model = enliven(keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask)))
    graph, x = packed(model, CHUNK, step=True), sequences(3, 4 * CHUNK, FEATURES)
    assert "TRANSPOSE" in kinds(graph) and "PAD" in kinds(graph)
    means = run_float(graph, x).mean(axis=1)
    np.testing.assert_allclose(means, model(x, training=False), atol=2e-6, rtol=1e-5)


def test_paths_that_step_unlike_are_packed_each_by_its_own_step():
    layers = keras.layers
    inputs = keras.Input((FRAMES, FEATURES))
    plane = layers.Reshape((FRAMES, FEATURES, 1))(inputs)
    paths = [layers.Conv2D(4, 5, strides=(n, 1), padding="same", activation="relu")(plane) for n in (4, 2)]
    x = layers.Concatenate()([layers.Flatten()(path) for path in paths])
    model = enliven(keras.Model(inputs, layers.Dense(5, name="emotion")(x)))
    graph, x = packed(model), sequences(4, FRAMES, FEATURES)
    assert kinds(graph).count("TRANSPOSE") == 2
    np.testing.assert_allclose(run_float(graph, x)[:, 0], model(x, training=False), atol=2e-6, rtol=1e-5)


def test_paths_whose_ends_are_read_elsewhere_are_not_joined():
    layers = keras.layers
    inputs = keras.Input((FRAMES, FEATURES))
    plane = layers.Reshape((FRAMES, FEATURES, 1))(inputs)
    a, b = (layers.Conv2D(4, 3, strides=(4, 1), padding="same", activation="relu")(plane) for _ in "ab")
    both = layers.Concatenate()([a, b])
    x = layers.Concatenate()([layers.Flatten()(both), layers.Flatten()(a)])
    model = enliven(keras.Model(inputs, layers.Dense(5, name="emotion")(x)))
    graph, x = packed(model), sequences(4, FRAMES, FEATURES)
    assert kinds(graph).count("CONV_2D") == 2
    np.testing.assert_allclose(run_float(graph, x)[:, 0], model(x, training=False), atol=2e-6, rtol=1e-5)


def test_zeros_that_packing_adds_do_not_count_as_weights():
    model, x = WINDOWS["as it ships"](), sequences(8, FRAMES, FEATURES)
    compiled = compile_model(model, x, Options(FRAMES, False))
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    pools = 3 * 10 * 2 + 8 * 4  # means, as filters
    covers = 10 * 9 + 10 * 3  # a row behind [3, 9] and [3, 3]
    weights = sum(int(np.prod(kernel.shape)) for kernel in kernels)
    assert compiled.weight_bytes == weights + pools + covers
    assert len(compiled.flatbuffer) <= 1.3 * compiled.weight_bytes + 8192


@pytest.mark.parametrize("step", [False, True])
def test_packed_graphs_are_near_float_and_the_same_on_tflite_runtime(step):
    python = tflite_python()
    model = streaming() if step else WINDOWS["as it ships"]()
    calibration = sequences(24, 4 * CHUNK if step else FRAMES, FEATURES, seed=8)
    compiled = compile_model(model, calibration, Options(CHUNK if step else FRAMES, step))
    x = sequences(16, calibration.shape[1], FEATURES, seed=9)
    rows = [compiled.quantise(each) for each in x]
    here = run_graph(compiled.flatbuffer, rows)
    there = run_elsewhere([python], compiled.flatbuffer, rows, "tflite-runtime")
    assert max(np.abs(a.astype(int) - b.astype(int)).max() for a, b in zip(here, there, strict=True)) <= 1
    expected = np.asarray(model(x, training=False))
    error = np.stack([compiled.logits(each).mean(axis=0) for each in here]) - expected
    assert np.sqrt(np.mean(error**2)) < 0.03 * np.ptp(expected)


def test_a_span_is_widened_to_what_padding_same_puts_before_it():
    for before in range(5):
        for behind in range(5):
            span = Span(before, behind).centred()
            assert span.before >= before and span.behind >= behind
            assert (span.size - 1) // 2 == span.before  # TensorFlow's share of zeros before
