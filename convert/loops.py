"""Writes a SCAN (one cell over the frames of a sequence) as TFLite operations.

A few frames are written out one after the other, sharing the weights; many become a WHILE over a sub-graph
that holds the cell once. The loop carries the frame number, the sequences, the states and the outputs so far;
an output is appended by shifting, so that every tensor has a constant shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.integers import quantise
from convert.ir import Graph, Op, Value

if TYPE_CHECKING:
    from convert.lower import Lowering


def write_scan(lowering: Lowering, subgraph: int, op: Op, places: dict[Value, int]) -> None:
    """Writes ``op`` into ``subgraph`` and records the places of its outputs."""
    if op.inputs[0].shape[1] >= lowering.loops_from:
        _write_loop(lowering, subgraph, op, places)
    else:
        _write_frames(lowering, subgraph, op, places)


def _write_frames(lowering: Lowering, subgraph: int, op: Op, places: dict[Value, int]) -> None:
    body: Graph = op.options["body"]
    writer, n_sequences = lowering.writer, op.options["sequences"]
    frames = op.inputs[0].shape[1]
    states = [_place(lowering, subgraph, value, places) for value in op.inputs[n_sequences:]]
    outputs: list[int] = []
    for frame in reversed(range(frames)) if op.options["reverse"] else range(frames):
        inner: dict[Value, int] = dict(zip((state.before for state in body.states), states, strict=True))
        for sequence, value in zip(op.inputs[:n_sequences], body.inputs, strict=True):
            inner[value] = places[sequence]
            if frames > 1:
                inner[value] = lowering.tensor(subgraph, value)
                begin, size = (
                    lowering.integers(subgraph, [0, frame, 0]),
                    lowering.integers(subgraph, list(value.shape)),
                )
                writer.op(subgraph, "SLICE", [places[sequence], begin, size], [inner[value]])
        lowering.ops(subgraph, body.ops, inner)
        states = [
            lowering.requantised(subgraph, inner, state.after, lowering.quants[state.before])
            for state in body.states
        ]
        outputs.append(inner[body.outputs[0]])
    if op.options["reverse"]:
        outputs.reverse()
    if frames == 1:
        places[op.outputs[0]] = outputs[0]
    elif op.options["sequence"]:
        places[op.outputs[0]] = lowering.tensor(subgraph, op.outputs[0])
        writer.op(subgraph, "CONCATENATION", outputs, [places[op.outputs[0]]], axis=1)
    for value, place in zip(op.outputs[1:], states, strict=True):
        places[value] = place


def _write_loop(lowering: Lowering, subgraph: int, op: Op, places: dict[Value, int]) -> None:
    body: Graph = op.options["body"]
    writer, n_sequences = lowering.writer, op.options["sequences"]
    frames = op.inputs[0].shape[1]
    result, keeps = op.outputs[0], op.options["sequence"]
    last = 1 + len(op.inputs)  # index, sequences and states; the outputs so far follow
    q = lowering.quants[result]
    first = frames - 1 if op.options["reverse"] else 0
    start = [
        lowering.integers(subgraph, [first]),
        *(_place(lowering, subgraph, value, places) for value in op.inputs),
    ]
    carried = [*op.inputs]
    if keeps:
        start.append(_any_content(lowering, subgraph, op.inputs[0], places, result.shape))
        carried.append(result)

    def enter(part: int) -> list[int]:
        index = writer.tensor(part, (1,), "int32")
        return [index, *(lowering.tensor(part, value) for value in carried)]

    condition = writer.subgraph()
    writer.subgraphs[condition].inputs = inputs = enter(condition)
    more = writer.tensor(condition, (1,), "bool")
    limit = [-1] if op.options["reverse"] else [frames]
    pair = [inputs[0], lowering.integers(condition, limit)]
    writer.op(condition, "LESS", pair[::-1] if op.options["reverse"] else pair, [more])
    writer.subgraphs[condition].outputs = [more]

    step = writer.subgraph()
    writer.subgraphs[step].inputs = inputs = enter(step)
    next_index = writer.tensor(step, (1,), "int32")
    writer.op(
        step, "ADD", [inputs[0], lowering.integers(step, [-1 if op.options["reverse"] else 1])], [next_index]
    )
    inner: dict[Value, int] = {}
    for place, value in zip(inputs[1 : 1 + n_sequences], body.inputs, strict=True):
        inner[value] = lowering.tensor(step, value)
        writer.op(step, "GATHER", [place, inputs[0]], [inner[value]], axis=1)
    for place, state in zip(inputs[1 + n_sequences : last], body.states, strict=True):
        inner[state.before] = place
    lowering.ops(step, body.ops, inner)
    states = [
        lowering.requantised(step, inner, state.after, lowering.quants[state.before]) for state in body.states
    ]
    writer.subgraphs[step].outputs = [next_index, *inputs[1 : 1 + n_sequences], *states]
    if keeps:
        shape = (1, frames - 1, *result.shape[2:])
        kept, grown = (
            writer.tensor(step, shape, q.dtype, q.scale, q.zero_point),
            lowering.tensor(step, result),
        )
        window = [
            lowering.integers(step, [0, 0 if op.options["reverse"] else 1, 0]),
            lowering.integers(step, shape),
        ]
        writer.op(step, "SLICE", [inputs[-1], *window], [kept])
        pieces = [kept, inner[body.outputs[0]]]
        writer.op(step, "CONCATENATION", pieces[::-1] if op.options["reverse"] else pieces, [grown], axis=1)
        writer.subgraphs[step].outputs.append(grown)

    ends = [writer.tensor(subgraph, (1,), "int32"), *(lowering.tensor(subgraph, value) for value in carried)]
    writer.op(subgraph, "WHILE", start, ends, condSubgraphIndex=condition, bodySubgraphIndex=step)
    if keeps:
        places[result] = ends[last]
    for value, place in zip(op.outputs[1:], ends[1 + n_sequences : last], strict=True):
        places[value] = place


def _any_content(
    lowering: Lowering, subgraph: int, source: Value, places: dict[Value, int], shape: tuple[int, ...]
) -> int:
    """A tensor of ``shape`` to start the outputs with: the loop shifts all of it out, so no constant need be
    stored.
    """
    q = lowering.quants[source]
    tensor = lowering.writer.tensor(subgraph, shape, q.dtype, q.scale, q.zero_point)
    window = [lowering.integers(subgraph, [0, 0, 0]), lowering.integers(subgraph, shape)]
    lowering.writer.op(subgraph, "SLICE", [places[source], *window], [tensor])
    return tensor


def _place(lowering: Lowering, subgraph: int, value: Value, places: dict[Value, int]) -> int:
    """The tensor of a computed value, or of a state that starts as a constant."""
    if value.data is None:
        return places[value]
    q = lowering.quants[value]
    codes = quantise(value.data, q)
    return lowering.writer.tensor(subgraph, value.shape, q.dtype, q.scale, q.zero_point, codes)
