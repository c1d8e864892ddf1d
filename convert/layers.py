"""Keras layers to the float graph of convert/ir.py: dense, recurrent, element by element; see
convert/graphs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convert.ir import Graph, State, Value, constant
from convert.recurrent import Precision, scan_layer, state_count
from edge_ser.errors import ModelError

NO_MASK = object()  # on the device every frame of a chunk or window is a frame
_IDENTITIES = {
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "Masking",
}
_IDENTITIES |= {"ActivityRegularization", "Identity", "StopGradient"}


@dataclass
class Walk:
    """The graph so far and the form it takes. ``values`` has each layer's output by the layer's name."""

    step: bool
    precision: Precision
    handlers: dict[str, Callable[..., Any]]
    graph: Graph = field(default_factory=Graph)
    values: dict[str, Value] = field(default_factory=dict)
    rings: dict[Value, int] = field(default_factory=dict)  # values that begin with frames of the past
    pooled: str = ""  # the layer that averaged over time, in step form

    def handler(self, layer: Any) -> Callable[..., Any]:
        kind = type(layer).__name__
        function = self.handlers.get(kind)
        if function is None and kind not in _IDENTITIES:
            raise ModelError(
                f"layer {layer.name!r}: {kind} has no integer form here; use one of "
                f"{', '.join(self.handlers)}"
            )

        def call(*args: Any, **kwargs: Any) -> Any:
            if function is None:
                result = args[0]
            else:
                self._check_after_pooling(layer, kind)
                result = function(self, layer, *args, **{k: v for k, v in kwargs.items() if k != "training"})
            if isinstance(result, Value):
                self.values[layer.name] = result
            return result

        return call

    def _check_after_pooling(self, layer: Any, kind: str) -> None:
        linear = kind == "Dense" and layer.activation.__name__ == "linear"
        if self.pooled and not linear and kind not in ("Flatten", "Reshape"):
            raise ModelError(
                f"layer {layer.name!r}: {kind} after {self.pooled!r} has averaged over time has no step "
                f"form; "
                "put the average last, or train a window"
            )

    def full(self, x: Value, kernel: Any, bias: Any = None) -> Value:
        """x [..., n] times a Keras kernel [n, m] plus bias [m]."""
        weights = np.asarray(kernel, np.float32).T
        term = np.zeros(len(weights), np.float32) if bias is None else np.asarray(bias, np.float32)
        return self.graph.op(
            "FULLY_CONNECTED", [x, constant(weights), constant(term)], (*x.shape[:-1], len(weights))
        )

    def reshape(self, x: Value, *shape: int) -> Value:
        return self.graph.op("RESHAPE", [x], shape, shape=list(shape))

    def activate(self, x: Value, activation: Any, name: str) -> Value:
        kind = activation if isinstance(activation, str) else activation.__name__
        g = self.graph
        if kind == "linear":
            return x
        if kind in ("silu", "swish"):
            return g.op("MUL", [x, g.op("LOGISTIC", [x], x.shape)], x.shape)
        simple = {
            "relu": "RELU",
            "relu6": "RELU6",
            "sigmoid": "LOGISTIC",
            "tanh": "TANH",
            "softmax": "SOFTMAX",
        }
        if kind == "hard_silu" or kind == "hard_swish":
            return g.op("HARD_SWISH", [x], x.shape)
        if kind not in simple:
            raise ModelError(
                f"layer {name!r}: activation {kind!r} has no integer form here; use relu or silu"
            )
        return g.op(simple[kind], [x], x.shape)

    def ring(self, x: Value, frames: int) -> Value:
        """x [1, k, …] behind the last ``frames`` frames before it; these become a state, at first zeros."""
        shape = (1, frames, *x.shape[2:])
        before = Value(shape, "ring", like=x)
        joined = self.graph.op("CONCATENATION", [before, x], (1, frames + x.shape[1], *x.shape[2:]), axis=1)
        rest = [0] * len(x.shape[2:])
        after = self.graph.op("SLICE", [joined], shape, begin=[0, x.shape[1], *rest], size=list(shape))
        self.graph.states.append(State(before, after))
        return joined

    def recurrent(self, layer: Any, x: Value) -> tuple[Value, list[Value]]:
        """The sequence [1, frames, n] of a GRU or LSTM, and its last states."""
        units, n_states = layer.cell.units, state_count(layer)
        if not self.step:
            zeros = [constant(np.zeros((1, 1, units))) for _ in range(n_states)]
            op = scan_layer(self.graph, layer, x, zeros, self.precision)
            return op.outputs[0], op.outputs[1:]
        before = [Value((1, 1, units), "state") for _ in range(n_states)]
        op = scan_layer(self.graph, layer, x, before, self.precision)
        for start, end in zip(before, op.outputs[1:], strict=True):
            start.bits = end.bits
            self.graph.states.append(State(start, end))
        return op.outputs[0], op.outputs[1:]


def _dense(walk: Walk, layer: Any, x: Value) -> Value:
    return walk.activate(walk.full(x, layer.kernel, layer.bias), layer.activation, layer.name)


def _time_distributed(walk: Walk, layer: Any, x: Value, mask: Any = None) -> Value:
    return HANDLERS[type(layer.layer).__name__](walk, layer.layer, x)  # type: ignore[no-any-return]


def _batch_norm(walk: Walk, layer: Any, x: Value, mask: Any = None) -> Value:
    """y = (x - mean) gamma / sqrt(variance + epsilon) + beta, Ioffe & Szegedy 2015, with the moving
    statistics.
    """
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    factor = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * np.asarray(layer.gamma, np.float64)
    term = -mean * factor + (np.asarray(layer.beta, np.float64) if layer.center else 0.0)
    scaled = walk.graph.op("MUL", [x, constant(factor)], x.shape)
    return walk.graph.op("ADD", [scaled, constant(term)], x.shape)


def _activation(walk: Walk, layer: Any, x: Value) -> Value:
    return walk.activate(x, layer.activation, layer.name)


def _relu(walk: Walk, layer: Any, x: Value) -> Value:
    if layer.negative_slope or layer.threshold or layer.max_value not in (None, 6.0):
        raise ModelError(f"layer {layer.name!r}: only ReLU and ReLU6 have an integer form here")
    return walk.activate(x, "relu6" if layer.max_value else "relu", layer.name)


def _softmax(walk: Walk, layer: Any, x: Value) -> Value:
    if layer.axis not in (-1, len(x.shape) - 1):
        raise ModelError(
            f"layer {layer.name!r}: softmax over axis {layer.axis} has no integer form; use the last axis"
        )
    return walk.activate(x, "softmax", layer.name)


def _flatten(walk: Walk, layer: Any, x: Value) -> Value:
    if walk.step and not walk.pooled:
        raise ModelError(
            f"layer {layer.name!r}: Flatten mixes all frames and has no step form; use a mean over time"
        )
    return walk.reshape(x, 1, int(np.prod(x.shape)))


def _reshape(walk: Walk, layer: Any, x: Value) -> Value:
    target = list(layer.target_shape)
    if walk.step and target[0] != x.shape[1]:
        target[0] = x.shape[1]  # the time axis is as long as the chunk
    if -1 in target:
        target[target.index(-1)] = int(np.prod(x.shape)) // -int(np.prod(target))
    if int(np.prod(target)) != int(np.prod(x.shape)):
        raise ModelError(f"layer {layer.name!r}: reshaping across time has no step form")
    return walk.reshape(x, 1, *target)


def _permute(walk: Walk, layer: Any, x: Value) -> Value:
    axes = [0, *layer.dims]
    if walk.step and axes[1] != 1:
        raise ModelError(f"layer {layer.name!r}: moving the time axis has no step form")
    return walk.graph.op("TRANSPOSE", [x], tuple(x.shape[axis] for axis in axes), axes=axes)


def _binary(kind: str) -> Callable[[Walk, Any, list[Value]], Value]:
    def binary(walk: Walk, layer: Any, values: list[Value]) -> Value:
        result = values[0]
        for value in values[1:]:
            shape = np.broadcast_shapes(result.shape, value.shape)
            result = walk.graph.op(kind, [result, value], tuple(int(n) for n in shape))
        return result

    return binary


def _concatenate(walk: Walk, layer: Any, values: list[Value]) -> Value:
    axis = layer.axis % len(values[0].shape)
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    if walk.step and axis == 1:
        raise ModelError(f"layer {layer.name!r}: joining along time has no step form")
    return walk.graph.op("CONCATENATION", values, tuple(shape), axis=axis)


def _recurrent(walk: Walk, layer: Any, x: Value, initial_state: Any = None, mask: Any = None) -> Value:
    if layer.go_backwards and walk.step:
        raise ModelError(
            f"layer {layer.name!r}: a layer that runs backwards has no step form; train a window"
        )
    sequence, states = walk.recurrent(layer, x)
    return sequence if layer.return_sequences else _last(walk, states[0])


def _loudest(walk: Walk, layer: Any, x: Value) -> Value:
    """train.models.layers.LoudestFrames."""
    if walk.step:
        raise ModelError(f"layer {layer.name!r}: a choice among all frames has no step form; train a window")
    return walk.graph.op("LOUDEST", [x], (1, layer.count, x.shape[2]), count=layer.count)


def _no_mask(walk: Walk, layer: Any, *args: Any, **kwargs: Any) -> Any:
    return NO_MASK


def _last(walk: Walk, state: Value) -> Value:
    state.produced_by.options["sequence"] = False  # type: ignore[union-attr]
    narrow = state if state.bits == 8 else walk.graph.op("QUANTIZE", [state], state.shape)
    return walk.reshape(narrow, 1, state.shape[2])


def _bidirectional(walk: Walk, layer: Any, x: Value, initial_state: Any = None, mask: Any = None) -> Value:
    if walk.step:
        raise ModelError(
            f"layer {layer.name!r}: Bidirectional looks ahead and has no step form; train a window"
        )
    ends = []
    for half in (layer.forward_layer, layer.backward_layer):
        sequence, states = walk.recurrent(half, x)
        ends.append(sequence if layer.return_sequences else _last(walk, states[0]))
    kinds = {"sum": "ADD", "mul": "MUL"}
    if layer.merge_mode in kinds:
        return walk.graph.op(kinds[layer.merge_mode], ends, ends[0].shape)
    if layer.merge_mode != "concat":
        raise ModelError(
            f"layer {layer.name!r}: merge mode {layer.merge_mode!r} is not supported; use 'concat' or 'sum'"
        )
    shape = (*ends[0].shape[:-1], 2 * ends[0].shape[-1])
    return walk.graph.op("CONCATENATION", ends, shape, axis=len(shape) - 1)


HANDLERS: dict[str, Callable[..., Any]] = {
    "LoudestFrames": _loudest,
    "Dense": _dense,
    "TimeDistributed": _time_distributed,
    "BatchNormalization": _batch_norm,
    "Activation": _activation,
    "ReLU": _relu,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "Add": _binary("ADD"),
    "Multiply": _binary("MUL"),
    "Subtract": _binary("SUB"),
    "Concatenate": _concatenate,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Bidirectional": _bidirectional,
    "FrameMask": _no_mask,
    "NotEqual": _no_mask,
    "Any": _no_mask,
}
