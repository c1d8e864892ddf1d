"""Channels around depthwise filters are made equally large where that changes nothing that the graph says."""

from __future__ import annotations

import numpy as np
import pytest
from convert_parts import causal_cnn, enliven, recurrent_step, sequences, two_minded_cnn, window_cnn

from train.backend import configure

configure()

import keras  # noqa: E402

from convert import compiler  # noqa: E402
from convert.compiler import Options, compile_model  # noqa: E402
from convert.equalise import MOST, _filters_alike, equalise  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.interpret import run_graph  # noqa: E402
from convert.observe import run_float  # noqa: E402
from train.models import Shape, conv_gru, light_cnn  # noqa: E402

FRAMES, FEATURES = 32, 16


def excess():
    """As it ships: paths of the stem joined, pools, the mean of what lies above the mean."""
    chosen = light_cnn.Options(
        stem=4, stem_pool=[1, 2], time_stride=4, widths=[8], pools=[[2, 2]], head=8, excess=True
    )
    return enliven(light_cnn.build(Shape(FRAMES, FEATURES, 5), chosen))


def streaming():
    """As it ships: rings of past frames before depthwise filters, a GRU beside what the convolutions see."""
    options = conv_gru.Options(stem=6, widths=[8, 8, 8], separable_from=2, head=8, units=6)
    return enliven(conv_gru.build(Shape(None, FEATURES, 5), options))


MODELS = {
    "a window": (window_cnn, FRAMES, 12, False),
    "residuals and two paths": (two_minded_cnn, FRAMES, 12, False),
    "the mean of what lies above the mean": (excess, FRAMES, FEATURES, False),
    "steps of convolutions and a GRU": (streaming, 16, FEATURES, True),
    "dilated steps": (causal_cnn, 2, 10, True),
    "a recurrent step": (lambda: recurrent_step("gru_after", 1), 2, 10, True),
}


def uneven(model, seed=5):
    """The same network with some channels far larger than others."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.gamma is not None:
            spread = np.exp(rng.normal(0, 0.8, layer.gamma.shape))
            layer.gamma.assign(layer.gamma * spread)
            layer.beta.assign(layer.beta * spread)
    return model


def spreads(graph, x):
    """Largest over smallest size among the channels of every convolution."""
    sizes = {}

    def see(value, array):
        made = value.produced_by is not None and value.produced_by.kind.endswith("CONV_2D")
        if made and value.shape[-1] > 1:
            size = np.quantile(np.abs(np.asarray(array)).reshape(-1, value.shape[-1]), 0.999, axis=0)
            sizes.setdefault(value, []).append(size)
        return array

    states = graph.zero_states(len(x))
    chunk = graph.inputs[0].shape[1]
    for start in range(0, x.shape[1] - chunk + 1, chunk):
        states = graph.run([x[:, start : start + chunk]], states, see).states
    largest = [np.max(each, axis=0) for each in sizes.values()]
    return [float(each.max() / each[each > 0].min()) for each in largest]


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_says_the_same(name):
    make, chunk, features, step = MODELS[name]
    graph = build_graph(uneven(make()), chunk, step)
    x = sequences(24, 4 * chunk if step else chunk, features)
    before, uneven_by = run_float(graph, x), spreads(graph, x)
    equalise(graph, x)
    np.testing.assert_allclose(run_float(graph, x), before, rtol=2e-4, atol=2e-4)
    if any(op.kind == "DEPTHWISE_CONV_2D" and not _filters_alike(op) for op in graph.ops):
        assert np.mean(spreads(graph, x)) < np.mean(uneven_by)
    else:
        assert spreads(graph, x) == uneven_by


def test_the_channels_before_and_behind_depthwise_filters_become_equally_large():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((FRAMES, FEATURES))
    x = keras.layers.Reshape((FRAMES, FEATURES, 1))(inputs)
    first = keras.layers.Conv2D(6, 3, padding="same", activation="relu")
    x = keras.layers.AveragePooling2D(2)(first(x))
    x = keras.layers.DepthwiseConv2D(3, depthwise_initializer=keras.initializers.RandomUniform(0.5, 1.0))(x)
    x = keras.layers.Conv2D(5, 1, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    first.kernel.assign(first.kernel * np.array([1, 1.5, 2, 1.2, 1.7, 2]))
    x = sequences(40, FRAMES, FEATURES)
    graph = build_graph(model, FRAMES, False)
    before = spreads(graph, x)
    assert before[0] > 2 and before[2] > 2
    equalise(graph, x)
    after = spreads(graph, x)
    for layer in (0, 2):
        assert after[layer] == pytest.approx(max(before[layer] / MOST, 1.0), rel=0.1)
    assert after[3] == pytest.approx(before[3])  # dense weights read it


def test_a_channel_that_hardly_ever_speaks_grows_four_times_at_most():
    inputs = keras.Input((FRAMES, FEATURES))
    layer = keras.layers.Conv1D(4, 1, activation="relu")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.DepthwiseConv1D(3)(layer(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    kernel = np.array(np.asarray(layer.kernel))
    kernel[..., 1] *= 1e-5
    kernel[..., 2] = 0.0
    layer.kernel.assign(kernel)
    graph = build_graph(model, FRAMES, False)
    equalise(graph, sequences(40, FRAMES, FEATURES))
    layers = [op for op in graph.ops if op.kind in ("CONV_2D", "FULLY_CONNECTED")]
    made = layers[0].inputs[1].data.reshape(4, -1)
    np.testing.assert_allclose(made[1], 4 * kernel[0, :, 1], rtol=1e-5)
    np.testing.assert_array_equal(made[2], 0.0)


@pytest.mark.parametrize("name", ["steps of convolutions and a GRU"])
def test_int8_comes_nearer_to_float(name, monkeypatch):
    make, chunk, features, step = MODELS[name]
    model = uneven(make())
    x = sequences(40, 4 * chunk if step else chunk, features)
    exact = run_float(build_graph(model, chunk, step), x)

    def apart():
        compiled = compile_model(model, x, Options(chunk, step))
        codes = run_graph(compiled.flatbuffer, [compiled.quantise(each) for each in x])
        return np.sqrt(np.mean((np.stack([compiled.logits(rows) for rows in codes]) - exact) ** 2))

    with_it = apart()
    monkeypatch.setattr(compiler, "equalise", lambda graph, features: None)
    assert with_it < 0.95 * apart()
