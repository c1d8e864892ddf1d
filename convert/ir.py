"""A small graph of float tensors: what a Keras model becomes before it is quantised.

It exists because TensorFlow's converter can neither quantise a recurrent loop nor keep a state's scale equal
on both sides of a step. Values have TFLite's layouts (channels last, weights [out, in] and [out, height,
width, in]); the first axis is the batch, 1 on the device. ``Graph.run`` computes with keras.ops, so the same
graph serves calibration, fine-tuning and the tests, on any Keras backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

MOVES = {
    "SLICE",
    "RESHAPE",
    "TRANSPOSE",
    "PAD",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "SPLIT",
    "LOUDEST",
}  # same scale out as in
Array = Any  # whatever the Keras backend computes with
Float = npt.NDArray[np.float32]


@dataclass(eq=False)
class Value:
    """A tensor: a constant if ``data`` is set, otherwise computed. ``low`` and ``high`` are its range, once
    observed.

    ``like`` names the value whose quantisation this one shares (states of a ring buffer); ``bits`` is 8 or
    16.
    """

    shape: tuple[int, ...]
    name: str = ""
    data: Float | None = None
    bits: int = 8
    low: float = 0.0
    high: float = 0.0
    like: Value | None = None
    produced_by: Op | None = None


@dataclass(eq=False)
class Op:
    """One TFLite operation (``kind`` is its name in the schema), or a "SCAN": a loop over the frames of a
    sequence, or "LOUDEST": the ``count`` frames with the largest first feature.
    """

    kind: str
    inputs: list[Value]
    outputs: list[Value]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class State:
    """A value that a step takes in and gives out; it starts as zeros."""

    before: Value
    after: Value


@dataclass(eq=False)
class Graph:
    """Operations in the order of computation, from ``inputs`` (and states) to ``outputs`` (and states)."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)

    def input(self, shape: Sequence[int], name: str = "") -> Value:
        value = Value(tuple(shape), name)
        self.inputs.append(value)
        return value

    def op(self, kind: str, inputs: Sequence[Value], shape: Sequence[int], /, **options: Any) -> Value:
        """Appends an operation with one output of ``shape``; what only moves data keeps its input's bits."""
        output = Value(tuple(shape), bits=inputs[0].bits if kind in MOVES else 8)
        output.produced_by = Op(kind, list(inputs), [output], options)
        self.ops.append(output.produced_by)
        return output

    def run(self, inputs: Sequence[Array], states: Sequence[Array], hook: Hook | None = None) -> Run:
        """Outputs and new states for arrays of any batch size. ``hook(value, array)`` sees, and may replace,
        every one.
        """
        known: dict[Value, Array] = {}
        see = hook or (lambda value, array: array)
        for value, array in zip(self.inputs, inputs, strict=True):
            known[value] = see(value, array)
        for state, array in zip(self.states, states, strict=True):
            known[state.before] = see(state.before, array)
        for op in self.ops:
            for value in op.inputs:
                if value.data is not None and value not in known:
                    known[value] = see(value, value.data)
            arrays = compute(op, [known[value] for value in op.inputs], hook)
            for value, array in zip(op.outputs, arrays, strict=True):
                known[value] = see(value, array)
        return Run([known[value] for value in self.outputs], [known[state.after] for state in self.states])

    def zero_states(self, batch: int = 1) -> list[Array]:
        return [np.zeros((batch, *state.before.shape[1:]), np.float32) for state in self.states]

    def all_ops(self) -> list[Op]:
        """Every operation, those inside a SCAN too."""
        inner = [op.options["body"].all_ops() for op in self.ops if op.kind == "SCAN"]
        return self.ops + [op for ops in inner for op in ops]


@dataclass(frozen=True)
class Run:
    outputs: list[Array]
    states: list[Array]


Hook = Callable[[Value, Array], Array]


def scale_axis(op: Op) -> int | None:
    """The axis of a layer's weights along which each index has a scale; None where one serves all."""
    if op.options.get("one_scale"):
        return None
    return 3 if op.kind == "DEPTHWISE_CONV_2D" else 0


def constant(data: npt.ArrayLike, name: str = "") -> Value:
    array = np.asarray(data, np.float32)
    return Value(array.shape, name, array)


def compute(op: Op, x: list[Array], hook: Hook | None = None) -> list[Array]:
    """The float outputs of one operation."""
    from keras import ops as k

    if op.kind == "SCAN":
        return _scan(op, x, hook)
    if op.kind == "SPLIT":
        return list(k.split(x[0], op.options["parts"], axis=op.options["axis"]))
    y = _COMPUTE[op.kind](k, op.options, *x)
    return [_activate(k, op.options.get("activation"), y)]


def _activate(k: Any, activation: str | None, y: Array) -> Array:
    if activation == "RELU":
        return k.relu(y)
    return k.relu6(y) if activation == "RELU6" else y


def _scan(op: Op, x: list[Array], hook: Hook | None) -> list[Array]:
    """The body once a frame: sequences [batch, frames, n] to [batch, frames, m] and the last states."""
    from keras import ops as k

    body: Graph = op.options["body"]
    n_sequences = op.options["sequences"]
    sequences, states = x[:n_sequences], x[n_sequences:]
    frames = range(sequences[0].shape[1])
    outputs = []
    for frame in reversed(frames) if op.options["reverse"] else frames:
        run = body.run([sequence[:, frame : frame + 1] for sequence in sequences], states, hook)
        states = run.states
        outputs.append(run.outputs[0])
    if op.options["reverse"]:
        outputs.reverse()
    return [k.concatenate(outputs, axis=1), *states]


def _convolve(k: Any, o: dict[str, Any], x: Array, filters: Array, bias: Array) -> Array:
    kernel = k.transpose(filters, (1, 2, 3, 0))
    return k.conv(x, kernel, o["strides"], o["padding"].lower(), "channels_last", o["dilation"]) + bias


def _convolve_depthwise(k: Any, o: dict[str, Any], x: Array, filters: Array, bias: Array) -> Array:
    height, width, channels = filters.shape[1], filters.shape[2], x.shape[-1]
    kernel = k.reshape(filters, (height, width, channels, filters.shape[3] // channels))
    return (
        k.depthwise_conv(x, kernel, o["strides"], o["padding"].lower(), "channels_last", o["dilation"]) + bias
    )


def _pool(mode: str) -> Callable[..., Array]:
    def pool(k: Any, o: dict[str, Any], x: Array) -> Array:
        function = k.max_pool if mode == "max" else k.average_pool
        return function(x, o["size"], o["strides"], o["padding"].lower(), "channels_last")

    return pool


def _slice(k: Any, o: dict[str, Any], x: Array) -> Array:
    return x[(slice(None), *(slice(b, b + n) for b, n in zip(o["begin"][1:], o["size"][1:], strict=True)))]


def _loudest(k: Any, o: dict[str, Any], x: Array) -> Array:
    _, places = k.top_k(x[:, :, 0], o["count"])
    return k.take_along_axis(x, k.expand_dims(places, -1), axis=1)


_COMPUTE: dict[str, Callable[..., Array]] = {
    "FULLY_CONNECTED": lambda k, o, x, w, b: k.matmul(x, k.transpose(w)) + b,
    "CONV_2D": _convolve,
    "DEPTHWISE_CONV_2D": _convolve_depthwise,
    "MAX_POOL_2D": _pool("max"),
    "AVERAGE_POOL_2D": _pool("average"),
    "ADD": lambda k, o, a, b: a + b,
    "SUB": lambda k, o, a, b: a - b,
    "MUL": lambda k, o, a, b: a * b,
    "LOGISTIC": lambda k, o, x: k.sigmoid(x),
    "TANH": lambda k, o, x: k.tanh(x),
    "RELU": lambda k, o, x: k.relu(x),
    "RELU6": lambda k, o, x: k.relu6(x),
    "HARD_SWISH": lambda k, o, x: x * k.relu6(x + 3.0) / 6.0,
    "SOFTMAX": lambda k, o, x: k.softmax(x, axis=-1),
    "CONCATENATION": lambda k, o, *x: k.concatenate(x, axis=o["axis"]),
    "SLICE": _slice,
    "LOUDEST": _loudest,
    "RESHAPE": lambda k, o, x: k.reshape(x, (-1, *o["shape"][1:])),
    "TRANSPOSE": lambda k, o, x: k.transpose(x, o["axes"]),
    "MEAN": lambda k, o, x: k.mean(x, axis=o["axes"], keepdims=o["keep"]),
    "SUM": lambda k, o, x: k.sum(x, axis=o["axes"], keepdims=o["keep"]),
    "PAD": lambda k, o, x: k.pad(x, o["pads"]),
    "QUANTIZE": lambda k, o, x: x,
}
