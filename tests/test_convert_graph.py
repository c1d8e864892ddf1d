"""The float graph computes what the Keras model computes, in one piece and as a stream, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from convert_parts import causal_cnn, enliven, recurrent_step, sequences, two_minded_cnn, window_cnn

from edge_ser.errors import ModelError
from train.backend import configure

configure()

import keras  # noqa: E402

from convert.convolutions import HANDLERS as CONVOLUTIONS  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.ir import Graph  # noqa: E402
from convert.layers import HANDLERS, Walk  # noqa: E402
from convert.observe import run_float  # noqa: E402
from convert.recurrent import Precision  # noqa: E402
from train.models.layers import LoudestFrames  # noqa: E402

TOLERANCE = 2e-5


def keras_says(model, x):
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("make", [window_cnn, two_minded_cnn])
def test_a_window_model_keeps_its_numbers(make):
    model, x = make(), sequences(4, 32, 12)
    graph = build_graph(model, 32, step=False)
    np.testing.assert_allclose(run_float(graph, x)[:, 0], keras_says(model, x), atol=TOLERANCE)


def test_batch_normalisation_and_relu_leave_no_operation_behind():
    graph = build_graph(window_cnn(), 32, step=False)
    kinds = [op.kind for op in graph.ops]
    assert "RELU" not in kinds
    assert kinds.count("CONV_2D") == 3
    assert kinds.index("CONV_2D") == 1, kinds  # nothing but one reshape before the convolutions


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_a_bidirectional_window_model_keeps_its_numbers(merge_mode):
    inputs = keras.Input((20, 6))
    half = keras.layers.LSTM(7, return_sequences=True)
    x = keras.layers.Bidirectional(half, merge_mode=merge_mode)(inputs)
    x = keras.layers.Bidirectional(keras.layers.GRU(5), merge_mode=merge_mode)(x)
    model = enliven(keras.Model(inputs, keras.layers.Dense(3)(x)))
    x = sequences(3, 20, 6)
    graph = build_graph(model, 20, step=False)
    np.testing.assert_allclose(run_float(graph, x)[:, 0], keras_says(model, x), atol=TOLERANCE)


@pytest.mark.parametrize("cell", ["gru", "gru_after", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("precision", [Precision(), Precision(16, True)])
def test_steps_of_a_recurrent_model_average_to_the_whole_sequence(cell, layers, precision):
    model, x = recurrent_step(cell, layers), sequences(4, 24, 10)
    for chunk in (2, 6):
        graph = build_graph(model, chunk, step=True, precision=precision)
        assert len(graph.states) == layers * (2 if cell == "lstm" else 1)
        np.testing.assert_allclose(run_float(graph, x).mean(axis=1), keras_says(model, x), atol=TOLERANCE)


@pytest.mark.parametrize("chunk", [2, 8])
def test_every_layer_of_a_streaming_cnn_gives_what_it_gives_over_the_whole(chunk):
    model, x = causal_cnn(), sequences(3, 32, 10)
    streamed, whole = unfolded(model, chunk, step=True), unfolded(model, 32, step=False)
    names = [name for name in whole.values if name.split("_")[0] not in ("past", "emotion")]
    assert len(names) > 15
    pieces = {name: [] for name in names}
    states = streamed.graph.zero_states(3)
    for start in range(0, 32, chunk):
        seen, states = values_of(streamed, x[:, start : start + chunk], states)
        for name in names:
            pieces[name].append(seen[name])
    expected, _ = values_of(whole, x, [])
    for name in names:
        np.testing.assert_allclose(
            np.concatenate(pieces[name], axis=1), expected[name], atol=TOLERANCE, err_msg=name
        )


def unfolded(model, frames: int, step: bool) -> Walk:
    """The graph as it is before anything is folded away, each layer's value still there."""
    walk = Walk(step, Precision(), {**HANDLERS, **CONVOLUTIONS})
    features = walk.graph.input((1, frames, model.inputs[0].shape[-1]))
    model._run_through_graph([features], operation_fn=walk.handler)
    return walk


def values_of(walk: Walk, x, states):
    seen = {}

    def see(value, array):
        seen[value] = np.asarray(array)
        return array

    walk.graph.outputs = []
    run = Graph.run(walk.graph, [x], states, see)
    return {name: seen[value] for name, value in walk.values.items()}, run.states


def model_of(*layers, frames=8):
    inputs = keras.Input((frames, 4))
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


L = keras.layers


@pytest.mark.parametrize(
    ("layers", "step", "words"),
    [
        ([L.LayerNormalization(name="norm")], False, "'norm': LayerNormalization has no integer form"),
        ([L.SimpleRNN(3, return_sequences=True, name="old")], False, "'old': SimpleRNN has no integer form"),
        ([L.GRU(3, activation="relu", name="g")], False, "'g': activations"),
        ([L.Conv1D(3, 3, activation="softplus", name="c")], False, "'softplus' has no integer form"),
        ([L.LeakyReLU(name="leaky")], False, "'leaky': LeakyReLU has no integer form"),
        ([L.Bidirectional(L.GRU(3), name="both")], True, "'both': Bidirectional looks ahead"),
        ([L.LSTM(3, go_backwards=True, name="back")], True, "'back': a layer that runs backwards"),
        ([L.Conv1D(3, 3, padding="same", name="c")], True, "'c': padding 'same' over time looks ahead"),
        ([L.Conv1D(3, 3, name="c")], True, "'c': needs 2 frames of the past and has 0"),
        ([L.ZeroPadding1D((2, 1), name="pad")], True, "'pad': zeros after the last frame"),
        ([L.MaxPooling1D(3, strides=1, name="p")], True, "'p': pooling over time"),
        ([LoudestFrames(3, name="loud"), L.Dense(2)], True, "'loud': a choice among all frames"),
        ([L.Flatten(name="flat"), L.Dense(2)], True, "'flat': Flatten mixes all frames"),
        (
            [L.GlobalAveragePooling1D(name="mean"), L.Dense(3, activation="relu", name="late")],
            True,
            "'late': Dense after 'mean'",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(layers, step, words):
    with pytest.raises(ModelError, match=words) as caught:
        build_graph(model_of(*layers), 8, step)
    assert "\n" not in str(caught.value)


def test_a_class_silence_behind_the_labels_is_left_out():
    model = enliven(model_of(L.Flatten(), L.Dense(4)))
    x = sequences(2, 8, 4)
    graph = build_graph(model, 8, step=False, classes=3)
    np.testing.assert_allclose(run_float(graph, x)[:, 0], keras_says(model, x)[:, :3], atol=TOLERANCE)
    with pytest.raises(ModelError, match="4 outputs for 5 labels"):
        build_graph(model, 8, step=False, classes=5)


def test_of_several_heads_the_emotion_stays():
    inputs = keras.Input((8, 4))
    x = L.GlobalAveragePooling1D()(inputs)
    heads = {"gender": L.Dense(2, name="gender")(x), "emotion": L.Dense(3, name="emotion")(x)}
    model = enliven(keras.Model(inputs, heads))
    x = sequences(2, 8, 4)
    graph = build_graph(model, 8, step=False)
    assert [op.kind for op in graph.ops] == ["MEAN", "FULLY_CONNECTED"]
    np.testing.assert_allclose(run_float(graph, x)[:, 0], np.asarray(model(x)["emotion"]), atol=TOLERANCE)
