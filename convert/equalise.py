"""Makes the channels around depthwise filters equally large, so that the one scale they share in int8 fits
each of them.

A channel may be multiplied by a number if whatever reads it divides by that number: the graph computes the
same, but for a small channel the shared step becomes finer (cross-layer equalisation; Nagel et al., Data-Free
Quantization, ICCV 2019, section 4.1). Here sizes are measured, and a channel is followed through all that
leaves it a channel: pools, rings of past frames, joined paths, ReLU. Between two dense layers it is left
alone: there the weights that read it lose as much as it gains (docs/experiments.md).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from convert.calibration import MAX_VALUES, thinned
from convert.ir import Array, Float, Graph, Op, Value, constant
from convert.lift import WEIGHTED

# A channel's size is what one in a thousand of its numbers exceeds: the largest may stand alone.
LARGE = 0.999
MOST = 4.0  # times; what was hardly ever active in calibration may be so in a stranger's voice
_HOMOGENEOUS = (None, "RELU")  # activations that give k times as much for k times as much
_KEEPS_CHANNELS = {"PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "SLICE", "RESHAPE"}


def equalise(graph: Graph, features: Float) -> None:
    """Rescales channels of ``graph`` in place, by their sizes over features [sequences, frames, features],
    standardised. What it computes stays the same but for the last digits of float32.
    """
    layers = [op for op in graph.ops if op.kind in WEIGHTED and not _filters_alike(op)]
    ties = _Ties(graph, layers)
    depthwise = [op for op in layers if op.kind == "DEPTHWISE_CONV_2D"]
    beside = [value for op in depthwise for value in (op.inputs[0], op.outputs[0])]
    free = {channel for value in beside for channel in ties.of(value)} - ties.held
    of_channel: dict[Hashable, float] = {}
    of_layer: dict[Hashable, float] = {}
    for value, sizes in _sizes(graph, features, [op.outputs[0] for op in layers]).items():
        layer = ties.values.root(value)
        for channel, size in zip(ties.of(value), sizes, strict=True):
            if channel in free:
                of_channel[channel] = max(of_channel.get(channel, 0.0), float(size))
                of_layer[layer] = max(of_layer.get(layer, 0.0), float(size))

    def factors(value: Value) -> Float:
        largest = of_layer.get(ties.values.root(value), 0.0)
        sizes = [of_channel.get(channel) or largest for channel in ties.of(value)]
        return np.array([min(largest / size, MOST) if size else 1.0 for size in sizes], np.float32)

    for op in layers:
        _rescale(op, factors(op.inputs[0]), factors(op.outputs[0]))


class _Ties:
    """Which channels must grow by one factor, and which values share a scale."""

    def __init__(self, graph: Graph, layers: Sequence[Op]) -> None:
        self.channels = _Sets()
        self.values = _Sets()
        held = [*graph.inputs, *graph.outputs]
        for op in graph.ops:
            moving = [value for value in op.inputs if value.data is None]
            homogeneous = op.options.get("activation") in _HOMOGENEOUS
            if op in layers:
                held += [] if homogeneous else op.outputs
            elif homogeneous and _keeps_channels(op, moving):
                for value in moving:
                    self._tie(value, op.outputs[0])
            elif op.kind == "CONCATENATION" and len(moving) == len(op.inputs):
                start = 0
                for value in moving:
                    self._tie(value, op.outputs[0], start)
                    start += value.shape[-1]
            else:
                held += [*moving, *op.outputs]
        for state in graph.states:
            self._tie(state.before, state.after)
            if state.before.like is not None:
                self._tie(state.before, state.before.like)
        self.held = {channel for value in held for channel in self.of(value)}  # must stay as they are

    def of(self, value: Value) -> list[Hashable]:
        """What stands for each channel of ``value``: the same for channels that are tied."""
        return [self.channels.root((value, channel)) for channel in range(value.shape[-1])]

    def _tie(self, value: Value, other: Value, start: int = 0) -> None:
        self.values.join(value, other)
        for channel in range(value.shape[-1]):
            self.channels.join((value, channel), (other, start + channel))


def _keeps_channels(op: Op, moving: Sequence[Value]) -> bool:
    """Whether an output channel is made of the input channels of its number alone, and grows as they do."""
    last = len(op.inputs[0].shape) - 1
    if any(value.shape[-1] != op.outputs[0].shape[-1] for value in moving):
        return False
    if op.kind in ("ADD", "SUB"):
        return len(moving) == 2
    if op.kind in ("MEAN", "SUM"):
        return bool(last not in op.options["axes"])
    if op.kind == "CONCATENATION":
        return bool(op.options["axis"] != last)
    return op.kind in _KEEPS_CHANNELS or _filters_alike(op)


def _filters_alike(op: Op) -> bool:
    """Whether ``op`` does the same to every channel: average pooling, for one, written as a convolution."""
    if op.kind != "DEPTHWISE_CONV_2D":
        return False
    weights, bias = (np.asarray(value.data) for value in op.inputs[1:])
    return bool((weights == weights[..., :1]).all() and not bias.any())


def _sizes(graph: Graph, features: Float, values: Sequence[Value]) -> dict[Value, Float]:
    """The sizes of the channels of ``values``."""
    seen: dict[Value, list[Float]] = {value: [] for value in values}
    chunk = graph.inputs[0].shape[1]
    share = max(MAX_VALUES * chunk // features.shape[1], 64)  # positions kept each time

    def see(value: Value, array: Array) -> Array:
        if value in seen:
            rows = np.abs(np.asarray(array)).reshape(-1, value.shape[-1])
            seen[value].append(thinned(rows, share, math.prod(value.shape[1:-1])))
        return array

    states = graph.zero_states(len(features))
    for start in range(0, features.shape[1] - chunk + 1, chunk):
        states = graph.run([features[:, start : start + chunk]], states, see).states
    return {value: np.quantile(np.concatenate(rows), LARGE, axis=0) for value, rows in seen.items()}


def _rescale(op: Op, read: Float, made: Float) -> None:
    """Makes a layer's outputs ``made`` times as large, of inputs ``read`` times as large, by channel."""
    x, weights, bias = op.inputs
    assert weights.data is not None and bias.data is not None
    if op.kind == "DEPTHWISE_CONV_2D":
        read = np.repeat(read, len(made) // len(read))
        scaled = weights.data / read * made
    else:
        scaled = weights.data / read * np.expand_dims(made, tuple(range(1, weights.data.ndim)))
    op.inputs = [x, constant(scaled), constant(bias.data * made)]


class _Sets:
    """Disjoint sets."""

    def __init__(self) -> None:
        self.parent: dict[Hashable, Hashable] = {}

    def root(self, member: Hashable) -> Hashable:
        while member in self.parent:
            member = self.parent[member]
        return member

    def join(self, one: Hashable, other: Hashable) -> None:
        one, other = self.root(one), self.root(other)
        if one is not other and one != other:
            self.parent[one] = other
