"""Keeps a product with weights from being rounded below zero, where kernels for x86 and for ARM disagree.

tflite-runtime scales an int32 sum to int8 in two roundings. The second meets exact halves all the time; x86
rounds them away from zero, NEON towards plus infinity, which is the same for what is not negative. So a layer
whose outputs may be negative stores its output plus a constant (in the bias, so for nothing), with zero point
-128. Who reads it takes the constant off again: the next layer in its own bias; the softmax after the graph
need not; a sum of two layers, as in a recurrent cell, is written as (a + c) - (c - b), the weights of b
negated; codes that become 16 bits wide are lifted by half of all, so that as integers around zero they are
right as they are. Where no reader can, an ADD behind the layer does (convert/lower.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.integers import Quant, centred, quant_of_range
from convert.ir import Graph, Op, Value

WEIGHTED = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
_CARRIES = {"RESHAPE", "SLICE", "TRANSPOSE", "SPLIT"}  # given x + c, they give their answer plus c
_OUTPUT = Op("OUTPUT", [], [])  # stands for the reader of a graph's output
_STATE = Op("STATE", [], [])
Readers = dict[Value, list[Op]]


@dataclass(frozen=True)
class Lift:
    """``by`` is the constant, None: what the value's own range needs, or, if ``centred``, one around zero."""

    by: float | None = None
    negative: bool = False
    centred: bool = False

    def quant(self, value: Value) -> Quant:
        """How ``value``, whose range is known, is held."""
        if self.by is None:
            q = quant_of_range(value.low, value.high)
            return lifted(centred(q) if self.centred else q)
        top = self.by - value.low if self.negative else self.by + value.high
        return Quant(quant_of_range(0.0, top).scale, -128, 8, self.by, self.negative)


def lifted(q: Quant) -> Quant:
    """The same codes, standing for numbers from zero on."""
    return Quant(q.scale, -128, 8, q.scale * (q.zero_point + 128))


def signed(op: Op) -> bool:
    """Whether ``op`` multiplies by weights and gives int8 of either sign."""
    return _linear(op) and op.outputs[0].low < 0


def find_lifts(graph: Graph) -> dict[Value, Lift]:
    """The values of a graph, whose ranges are known, that are stored lifted because every reader copes."""
    outside: dict[Value, Value] = {}
    readers: Readers = {value: [_OUTPUT] for value in graph.outputs}
    _collect(graph, outside, readers)
    lifts: dict[Value, Lift] = {}
    for op in graph.all_ops():
        if op.kind == "ADD":
            lifts |= _of_sum(op, outside, readers)
        elif op.kind == "QUANTIZE" and op.inputs[0].bits < op.outputs[0].bits:
            lifts |= _of_widened(op.inputs[0], outside, readers)
    for op in graph.all_ops():
        value = op.outputs[0]
        if signed(op) and value not in lifts and _absorbed(value, readers):
            lifts[value] = Lift()
    return lifts


def _collect(graph: Graph, outside: dict[Value, Value], readers: Readers) -> None:
    """Who reads each value, and which value outside a loop each input of its body is a frame of."""
    for op in graph.ops:
        for value in op.inputs:
            readers.setdefault(value, []).append(op)
        if op.kind == "SCAN":
            body: Graph = op.options["body"]
            outside.update(zip(body.inputs, op.inputs[: len(body.inputs)], strict=True))
            for value in body.outputs:
                readers.setdefault(value, []).append(_STATE)
            _collect(body, outside, readers)
    for state in graph.states:
        readers.setdefault(state.after, []).append(_STATE)


def _of_sum(add: Op, outside: dict[Value, Value], readers: Readers) -> dict[Value, Lift]:
    """The lifts of two layers whose outputs go into this sum and nowhere else."""
    a, b = (outside.get(value, value) for value in add.inputs)
    layers = [value.produced_by for value in (a, b)]
    once = all(len(readers[value]) == 1 for value in {*add.inputs, a, b})
    if a is b or not once or not all(op is not None and _linear(op) for op in layers):
        return {}
    by = max(-a.low, b.high)
    return {a: Lift(by), b: Lift(by, negative=True)}


def _of_widened(narrow: Value, outside: dict[Value, Value], readers: Readers) -> dict[Value, Lift]:
    """The lift of a layer whose output becomes 16 bits wide and is read nowhere else."""
    value = outside.get(narrow, narrow)
    once = len(readers[narrow]) == len(readers[value]) == 1
    linear = value.produced_by is not None and _linear(value.produced_by)
    return {value: Lift(centred=True)} if once and linear else {}


def _linear(op: Op) -> bool:
    return op.kind in WEIGHTED and not op.options.get("activation") and op.outputs[0].bits == 8


def _absorbed(value: Value, readers: Readers) -> bool:
    return all(_absorbs(op, value, readers) for op in readers.get(value, []))


def _absorbs(op: Op, value: Value, readers: Readers) -> bool:
    if op is _OUTPUT:  # logits, of which only differences count
        return True
    if op.kind in WEIGHTED:
        return value is op.inputs[0] and _pads_nothing(op)
    return op.kind in _CARRIES and all(_absorbed(output, readers) for output in op.outputs)


def _pads_nothing(op: Op) -> bool:
    """Zeros around an image would have to be lifted too."""
    if op.kind == "FULLY_CONNECTED" or op.options["padding"] == "VALID":
        return True
    return op.inputs[1].shape[1:3] == (1, 1)
