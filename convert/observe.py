"""Ranges of every value of a graph, measured over real sequences from the zero state on."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from convert.calibration import MAX_VALUES, best_range, thinned, whole_range
from convert.ir import MOVES, Float, Graph, Value

_GIVEN = {
    "LOGISTIC",
    "TANH",
    "SOFTMAX",
    "SCAN",
    "QUANTIZE",
    "CONCATENATION",
}  # ranges that something else decides
_SATURATED = {"LOGISTIC": 8.0, "TANH": 4.0}  # beyond, the function is within one int8 step of its limit


def observe(graph: Graph, features: Float) -> None:
    """Sets ``low`` and ``high`` of every value over features [sequences, frames, features], standardised.

    A graph with states runs over the frames chunk by chunk, as on the device; its states start as zeros, so
    zero is part of their range. A value that only feeds a sigmoid or tanh is clipped where that is flat.
    """

    seen: dict[Value, list[Float]] = defaultdict(list)

    def see(value: Value, array: Any) -> Any:
        if value.data is None:
            seen[value].append(thinned(np.asarray(array).reshape(-1), share, _width(value)))
        return array

    chunk = graph.inputs[0].shape[1]
    share = max(
        MAX_VALUES * chunk // features.shape[1], 64
    )  # values kept of a tensor each time it is computed
    states = graph.zero_states(len(features))
    for start in range(0, features.shape[1] - chunk + 1, chunk):
        states = graph.run([features[:, start : start + chunk]], states, see).states
    for value, parts in seen.items():
        everything = np.concatenate(parts)
        narrow = value.bits == 8
        value.low, value.high = best_range(everything, _width(value)) if narrow else whole_range(everything)
    _fit_what_pools_keep(graph)
    _clip_saturated(graph)
    _tie_states(graph)
    _tie_joined(graph)


def _width(value: Value) -> int:
    """Numbers in one row of a batch: samples step through rows so that no unit, band or channel is missed."""
    return math.prod(value.shape[1:])


def run_float(graph: Graph, features: Float) -> Float:
    """Float outputs [sequences, steps, classes] of a graph run chunk by chunk from zero states."""
    chunk = graph.inputs[0].shape[1]
    states = graph.zero_states(len(features))
    outputs = []
    for start in range(0, features.shape[1] - chunk + 1, chunk):
        run = graph.run([features[:, start : start + chunk]], states)
        states = run.states
        outputs.append(np.asarray(run.outputs[0]))
    return np.stack(outputs, axis=1)


def _fit_what_pools_keep(graph: Graph) -> None:
    """Of what a maximum is taken over only the maxima count: they decide the range of what a pooling alone
    reads.
    """
    ops = graph.all_ops()
    for pool in [op for op in ops if op.kind == "MAX_POOL_2D"]:
        value = pool.inputs[0]
        while sum(value in op.inputs for op in ops) == 1:
            value.low, value.high = pool.outputs[0].low, pool.outputs[0].high
            if value.produced_by is None or value.produced_by.kind != "RESHAPE":
                break
            value = value.produced_by.inputs[0]


def _clip_saturated(graph: Graph) -> None:
    ops = graph.all_ops()
    for op in ops:
        limit = _SATURATED.get(op.kind)
        readers = [other for other in ops if op.inputs[0] in other.inputs]
        if limit is not None and len(readers) == 1 and op.inputs[0].produced_by is not None:
            op.inputs[0].low = max(op.inputs[0].low, -limit)
            op.inputs[0].high = min(op.inputs[0].high, limit)


def _tie_states(graph: Graph) -> None:
    """One range for a state wherever it stands: before and after the step, outside and inside a loop."""
    for op in graph.ops:
        if op.kind != "SCAN":
            continue
        starts, ends = op.inputs[op.options["sequences"] :], op.outputs[1:]
        for start, end, state in zip(starts, ends, op.options["body"].states, strict=True):
            everywhere = [start, end, state.before, state.after]
            _same_range(everywhere)
            _clip_cell(everywhere, op.options["body"])
    for state in graph.states:
        if state.before.like is None:
            _same_range([state.before, state.after])


def _clip_cell(cell: list[Value], body: Graph) -> None:
    """An LSTM's cell in 8 bits reaches to where its tanh is flat: small steps, of which many are summed up,
    are worth more than how far beyond it was (docs/converter.md).
    """
    limit = _SATURATED["TANH"]
    if cell[-1].bits == 8 and any(op.kind == "TANH" and op.inputs[0] in cell for op in body.ops):
        for value in cell:
            value.low, value.high = max(value.low, -limit), min(value.high, limit)


def _tie_joined(graph: Graph) -> None:
    """One range for values that are joined, so that none needs a conversion first (a fixed one keeps its
    own).
    """
    for op in graph.ops:
        origins = [origin(value) for value in op.inputs]
        free = [value.produced_by is not None and value.produced_by.kind not in _GIVEN for value in origins]
        if op.kind == "CONCATENATION" and all(free):
            _same_range([*op.inputs, *origins])


def origin(value: Value) -> Value:
    """The value whose quantisation ``value`` takes over, through operations that only move data."""
    while value.produced_by is not None and value.produced_by.kind in MOVES:
        value = value.produced_by.inputs[0]
    return value


def _same_range(values: list[Value]) -> None:
    low, high = min(value.low for value in values), max(value.high for value in values)
    for value in values:
        value.low, value.high = low, high
