"""Quantisation-aware fine-tuning: the weights learn to live with the integers they will become.

The graph of convert/ir.py is run with every rounding of the int8 graph put in (weights per channel,
activations at their measured ranges), gradients passing straight through (Bengio et al. 2013; Jacob et al.,
CVPR 2018), and the weights follow the float graph's own logits on training data: logits, since of data that
were trained on the probabilities are nearly 0 or 1 and leave the logits free to wander. Ranges stay as
measured and go into the file unchanged. It is a Keras 3 layer in a Keras 3 model: no further package, any
backend.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from convert.integers import Quant
from convert.ir import Array, Float, Graph, Op, Value, scale_axis
from convert.lift import WEIGHTED
from convert.lower import quants
from convert.observe import run_float

# nothing to round again
_KEEPS_CODES = {"SLICE", "RESHAPE", "TRANSPOSE", "PAD", "MAX_POOL_2D", "SPLIT", "LOUDEST"}
BATCH = 16
LEARNING_RATE = 5e-5  # Adam moves weights by about so much a step, however little is wrong with them


def fine_tune(graph: Graph, features: Float, epochs: int, seed: int = 0) -> list[float]:
    """Adjust the weights of ``graph``, whose ranges are known, on features [sequences, frames, features].

    The target is what the graph answers in float, output by output. Returns the loss after each epoch: the
    mean square difference of the logits.
    """
    keras.utils.set_random_seed(seed)
    whole = features.shape[1] // graph.inputs[0].shape[1] * graph.inputs[0].shape[1]
    features = features[:, :whole]
    targets = run_float(graph, features).astype(np.float32)
    layer = RoundedGraph(graph)
    inputs = keras.Input(features.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    steps = epochs * -(-len(features) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    # Without XLA: compiling the unrolled steps of a sequence takes longer than a few epochs of it.
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "mse", jit_compile=False)
    history = model.fit(features, targets, batch_size=BATCH, epochs=epochs, verbose=0)
    layer.write_back()
    return [float(value) for value in history.history["loss"]]


class RoundedGraph(keras.layers.Layer):  # type: ignore[misc]
    """Sequences [batch, frames, features] to outputs [batch, steps, classes], rounded as in int8."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(name="rounded_graph")
        self.graph = graph
        self.quants = quants(graph)
        self.kept = {value for op in graph.all_ops() if op.kind in _KEEPS_CODES for value in op.outputs}
        self.axes: dict[Value, int | None] = {}
        self.tuned: dict[Value, Any] = {}
        for op in graph.all_ops():
            if op.kind in WEIGHTED and not _is_mean_filter(op):
                self.axes[op.inputs[1]] = scale_axis(op)
                for value in op.inputs[1:]:
                    if value not in self.tuned:
                        self.tuned[value] = self.add_weight(shape=value.shape, initializer="zeros")
                        self.tuned[value].assign(value.data)

    def call(self, features: Array) -> Array:
        chunk = self.graph.inputs[0].shape[1]
        batch = ops.shape(features)[0]
        states = [ops.zeros((batch, *state.before.shape[1:])) for state in self.graph.states]
        outputs = []
        for start in range(0, features.shape[1], chunk):
            run = self.graph.run([features[:, start : start + chunk]], states, self.rounded)
            states = run.states
            outputs.append(run.outputs[0])
        return ops.stack(outputs, axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Said, so that Keras need not trace all steps to find out."""
        steps = (input_shape[1] or 0) // self.graph.inputs[0].shape[1]
        return (input_shape[0], steps, self.graph.outputs[0].shape[1])

    def rounded(self, value: Value, array: Array) -> Array:
        """``array`` as the int8 graph holds ``value``."""
        if value in self.tuned:
            variable = ops.convert_to_tensor(self.tuned[value])
            return rounded_weights(variable, self.axes[value]) if value in self.axes else variable
        if value.data is not None or value in self.kept:
            return array
        return rounded(array, self.quants[value])

    def write_back(self) -> None:
        """The tuned numbers into the graph."""
        for value, variable in self.tuned.items():
            value.data = np.asarray(ops.convert_to_numpy(variable), np.float32)


def rounded(array: Array, q: Quant) -> Array:
    """The nearest number that ``q`` can hold; the gradient is 1 inside its range and 0 outside."""
    half = 1 << (q.bits - 1)
    low, high = (-half - q.zero_point) * q.scale, (half - 1 - q.zero_point) * q.scale
    sign = -1.0 if q.negative else 1.0
    inside = ops.clip(sign * array + q.lift, low, high)
    return sign * (inside + ops.stop_gradient(ops.round(inside / q.scale) * q.scale - inside) - q.lift)


def rounded_weights(weights: Array, axis: int | None) -> Array:
    """Symmetric int8 with a scale for each index of ``axis``, as convert.integers.quantise_weights."""
    others = [n for n in range(len(weights.shape)) if n != axis]
    peak = ops.maximum(ops.max(ops.abs(weights), axis=others, keepdims=True), 1e-8)
    scale = ops.stop_gradient(peak / 127.0)
    return weights + ops.stop_gradient(ops.round(weights / scale) * scale - weights)


def _is_mean_filter(op: Op) -> bool:
    """Average pooling written as a convolution is not for learning."""
    data = op.inputs[1].data
    return op.kind == "DEPTHWISE_CONV_2D" and data is not None and bool((data == data.flat[0]).all())
