"""GRU and LSTM cells in operations that quantise well.

The input's share of every gate is one fully-connected layer over all frames at once; the loop holds only the
state's. GRU: h' = c + z (h - c), which keeps h within the range of c, so a quantised state cannot drift (Cho
et al. 2014 as Keras computes it, ``reset_after`` or not). LSTM: c' = f c + i g, h' = o tanh c' (Hochreiter &
Schmidhuber 1997; Gers 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.ir import Float, Graph, Op, State, Value, constant
from edge_ser.errors import ModelError


@dataclass(frozen=True)
class Precision:
    """How a recurrent cell is held in integers. The defaults are what docs/converter.md found sufficient.

    ``state_bits``: 8, or 16 for the state, the gates' functions and the arithmetic between them. Weights, the
    input's share and what is multiplied by weights stay int8. ``per_gate``: each gate has a layer, and so a
    range, of its own.
    """

    state_bits: int = 8
    per_gate: bool = False


def scan_layer(graph: Graph, layer: Any, x: Value, state: list[Value], precision: Precision) -> Op:
    """Appends the loop of a Keras GRU or LSTM over x [1, frames, n]; its outputs are the sequence and the
    last states.
    """
    kind = type(layer).__name__
    if kind not in ("GRU", "LSTM"):
        raise ModelError(f"layer {layer.name!r}: no step form for {kind}; use GRU or LSTM")
    cell = layer.cell
    _check_activations(layer)
    build = _gru if kind == "GRU" else _lstm
    return build(graph, cell, x, state, precision, bool(layer.go_backwards))


def state_count(layer: Any) -> int:
    return 2 if type(layer).__name__ == "LSTM" else 1


def _gru(graph: Graph, cell: Any, x: Value, state: list[Value], p: Precision, backwards: bool) -> Op:
    n = cell.units
    kernel, recurrent = _weights(cell.kernel), _weights(cell.recurrent_kernel)
    bias = np.zeros((2, 3 * n), np.float32) if cell.bias is None else np.asarray(cell.bias, np.float32)
    reset_after = bool(cell.reset_after)
    bias = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    gates = _groups(2, n, p)  # rows of z and r
    own_bias = bias[0].copy()
    own_bias[: 2 * n] += bias[1, : 2 * n]
    body = Graph()
    shares = [_full(graph, x, kernel[rows], own_bias[rows]) for rows in [*gates, slice(2 * n, 3 * n)]]
    parts = [body.input((1, 1, share.shape[2])) for share in shares]
    h = Value((1, 1, n), "h", bits=p.state_bits)
    narrow = _bits(body, h, 8)
    sums = [
        _plus(body, a, _full(body, narrow, recurrent[r], None), p) for a, r in zip(parts, gates, strict=False)
    ]
    z, r = _gates(body, sums, 2, p)
    rows = slice(2 * n, 3 * n)
    if reset_after:
        recalled = _full(body, narrow, recurrent[rows], bias[1, rows])
        recalled = _wide(body, "MUL", r, recalled, p.state_bits)
    else:
        reset = _bits(body, _wide(body, "MUL", r, h, p.state_bits), 8)
        recalled = _full(body, reset, recurrent[rows], None)
    c = _function(body, "TANH", _plus(body, parts[-1], recalled, p))
    difference = _wide(body, "SUB", h, c, p.state_bits)
    after = _wide(body, "ADD", c, _wide(body, "MUL", z, difference, p.state_bits), p.state_bits)
    body.outputs, body.states = [_bits(body, after, 8)], [State(h, after)]
    return _scan(graph, shares, state, body, backwards)


def _lstm(graph: Graph, cell: Any, x: Value, state: list[Value], p: Precision, backwards: bool) -> Op:
    n = cell.units
    order = np.concatenate(
        [np.arange(2 * n), np.arange(3 * n, 4 * n), np.arange(2 * n, 3 * n)]
    )  # i f c o -> i f o c
    kernel, recurrent = _weights(cell.kernel)[order], _weights(cell.recurrent_kernel)[order]
    bias = np.zeros(4 * n, np.float32) if cell.bias is None else np.asarray(cell.bias, np.float32)[order]
    gates = _groups(3, n, p)
    body = Graph()
    groups = [*gates, slice(3 * n, 4 * n)]
    shares = [_full(graph, x, kernel[rows], bias[rows]) for rows in groups]
    parts = [body.input((1, 1, share.shape[2])) for share in shares]
    h, c = Value((1, 1, n), "h"), Value((1, 1, n), "c", bits=p.state_bits)
    sums = [
        _plus(body, a, _full(body, h, recurrent[rows], None), p)
        for a, rows in zip(parts, groups, strict=True)
    ]
    i, f, o = _gates(body, sums[:-1], 3, p)
    candidate = _function(body, "TANH", sums[-1])
    kept = _wide(body, "MUL", f, c, p.state_bits)
    added = _wide(body, "MUL", i, candidate, p.state_bits)
    c_after = _wide(body, "ADD", kept, added, p.state_bits)
    h_after = _bits(body, _wide(body, "MUL", o, _function(body, "TANH", c_after), p.state_bits), 8)
    body.outputs, body.states = [h_after], [State(h, h_after), State(c, c_after)]
    return _scan(graph, shares, state, body, backwards)


def _scan(graph: Graph, shares: list[Value], state: list[Value], body: Graph, backwards: bool) -> Op:
    frames = shares[0].shape[1]
    shape = (1, frames, body.outputs[0].shape[2])
    ends = [Value(item.after.shape, bits=item.after.bits) for item in body.states]
    options = {"body": body, "sequences": len(shares), "reverse": backwards, "sequence": True}
    op = Op("SCAN", [*shares, *state], [Value(shape), *ends], options)
    for value in op.outputs:
        value.produced_by = op
    graph.ops.append(op)
    return op


def _groups(gates: int, n: int, p: Precision) -> list[slice]:
    return [slice(g * n, (g + 1) * n) for g in range(gates)] if p.per_gate else [slice(0, gates * n)]


def _gates(body: Graph, sums: list[Value], gates: int, p: Precision) -> list[Value]:
    if p.per_gate:
        return [_function(body, "LOGISTIC", value) for value in sums]
    joint = _function(body, "LOGISTIC", sums[0])
    parts = [Value((1, 1, joint.shape[2] // gates), bits=joint.bits) for _ in range(gates)]
    split = Op("SPLIT", [joint], parts, {"parts": gates, "axis": 2})
    for part in parts:
        part.produced_by = split
    body.ops.append(split)
    return parts


def _full(graph: Graph, x: Value, weights: Float, bias: Float | None) -> Value:
    """One scale for the matrix: one for each unit, and its bias's, would be a quarter of a loop of 32 units,
    and the weights are not what costs a recurrent model (docs/converter.md, a cell that sums up).
    """
    term = np.zeros(len(weights), np.float32) if bias is None else bias
    shape = (*x.shape[:-1], len(weights))
    return graph.op("FULLY_CONNECTED", [x, constant(weights), constant(term)], shape, one_scale=True)


def _plus(body: Graph, a: Value, b: Value, p: Precision) -> Value:
    return _wide(body, "ADD", a, b, p.state_bits)


def _wide(body: Graph, kind: str, a: Value, b: Value, bits: int) -> Value:
    """a ∘ b with both sides and the result in ``bits``."""
    value = body.op(kind, [_bits(body, a, bits), _bits(body, b, bits)], a.shape)
    value.bits = bits
    return value


def _function(body: Graph, kind: str, x: Value) -> Value:
    value = body.op(kind, [x], x.shape)
    value.bits = x.bits
    return value


def _bits(body: Graph, value: Value, bits: int) -> Value:
    if value.bits == bits:
        return value
    for op in body.ops:
        if op.kind == "QUANTIZE" and op.inputs[0] is value and op.outputs[0].bits == bits:
            return op.outputs[0]
    changed = body.op("QUANTIZE", [value], value.shape)
    changed.bits = bits
    return changed


def _weights(variable: Any) -> Float:
    return np.ascontiguousarray(np.asarray(variable, np.float32).T)


def _check_activations(layer: Any) -> None:
    names = (layer.activation.__name__, layer.recurrent_activation.__name__)
    if names != ("tanh", "sigmoid"):
        raise ModelError(f"layer {layer.name!r}: activations {names} have no step form; use tanh and sigmoid")
