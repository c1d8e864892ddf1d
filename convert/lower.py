"""A float graph with observed ranges (convert/ir.py) to a full-integer TFLite flatbuffer.

Quantisation follows TFLite's int8 specification: activations affine int8, weights symmetric int8 with a scale
for each output channel, biases int32 (int64 beside int16 activations) at input scale times weight scale.
Operations that only move data keep their input's scale; a state has one scale on both sides of a step; where
one value reaches an operation that wants another scale, zero is added to it in between. (A QUANTIZE from int8
to int8 rounds negative halves one way on x86 and another on ARM, and so do layers: convert/lift.py.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.flat import INT8, INT16, Writer
from convert.integers import Quant, centred, fixed_quant, quant_of_range, quantise, quantise_weights
from convert.ir import MOVES, Graph, Op, Value, scale_axis
from convert.lift import WEIGHTED, Lift, find_lifts, lifted, signed
from edge_ser.errors import ModelError


def quants(graph: Graph) -> dict[Value, Quant]:
    """The quantisation of every computed value of a graph."""
    return _quants(graph, {}, find_lifts(graph))


def _quants(graph: Graph, given: dict[Value, Quant], lifts: dict[Value, Lift]) -> dict[Value, Quant]:
    """``given`` fixes the inputs of a loop's body."""
    known: dict[Value, Quant] = dict(given)
    late = {state.before: state for state in graph.states if state.before.like is not None}
    for value in graph.inputs + [state.before for state in graph.states if state.before not in late]:
        known.setdefault(value, quant_of_range(value.low, value.high, value.bits))
    for state in graph.states:
        if state.before not in late:
            known[state.after] = known[state.before]
    waiting = list(graph.ops)
    while waiting:
        op = waiting.pop(0)
        for before in late:
            if before.like in known:
                known.setdefault(before, known[before.like])
        if any(value.data is None and value not in known for value in op.inputs):
            raise ModelError("a ring buffer stands before the value that it repeats")
        _quantise_op(op, known, lifts)
    return known


def _quantise_op(op: Op, known: dict[Value, Quant], lifts: dict[Value, Lift]) -> None:
    if op.kind == "SCAN":
        body: Graph = op.options["body"]
        n_sequences = op.options["sequences"]
        given = dict(zip(body.inputs, (known[x] for x in op.inputs[:n_sequences]), strict=True))
        known.update(_quants(body, given, lifts))
        known[op.outputs[0]] = known[body.outputs[0]]
        for start, end, state in zip(op.inputs[n_sequences:], op.outputs[1:], body.states, strict=True):
            known.setdefault(start, known[state.before])
            known[end] = known[state.before]
        return
    for value in op.outputs:
        fixed = fixed_quant(op.kind, value.bits)
        first = next((known[item] for item in op.inputs if item.data is None), None)
        if fixed is not None:
            known[value] = fixed
        elif value in lifts:
            known[value] = lifts[value].quant(value)
        elif op.kind == "QUANTIZE" and first is not None and first.bits < value.bits:
            known[value] = Quant(centred(first).scale, 0, value.bits)
        elif first is not None and (op.kind in MOVES or _joins_equal(op, known)):
            known[value] = first
        else:
            known.setdefault(value, quant_of_range(value.low, value.high, value.bits))


def _joins_equal(op: Op, known: dict[Value, Quant]) -> bool:
    return op.kind == "CONCATENATION" and len({known[value] for value in op.inputs}) == 1


class Lowering:
    """Writes one graph; ``loops_from`` is the number of frames from which a SCAN becomes a WHILE instead of
    copies.
    """

    def __init__(self, graph: Graph, loops_from: int) -> None:
        self.graph = graph
        self.loops_from = loops_from
        self.quants = quants(graph)
        self.writer = Writer()
        self._constants: dict[tuple[Any, ...], int] = {}

    def run(self) -> bytes:
        main = self.writer.subgraph()
        places: dict[Value, int] = {}
        names = {value: f"input_{n}" for n, value in enumerate(self.graph.inputs)}
        names |= {state.before: f"state_{n}" for n, state in enumerate(self.graph.states)}
        for value, name in names.items():
            places[value] = self.tensor(main, value, name)
        self.ops(main, self.graph.ops, places)
        part = self.writer.subgraphs[main]
        part.inputs = [places[value] for value in names]
        part.outputs = [places[value] for value in self.graph.outputs]
        for state in self.graph.states:
            part.outputs.append(self.requantised(main, places, state.after, self.quants[state.before]))
        if len(set(part.outputs)) < len(part.outputs) or set(part.inputs) & set(part.outputs):
            raise ModelError("the graph gives out one tensor twice; give every state its own operation")
        return self.writer.pack("edge_ser")

    def tensor(self, subgraph: int, value: Value, name: str = "") -> int:
        return self._tensor(subgraph, value.shape, self.quants[value], name)

    def _tensor(self, subgraph: int, shape: tuple[int, ...], q: Quant, name: str = "") -> int:
        return self.writer.tensor(subgraph, shape, q.dtype, q.scale, q.zero_point, name=name)

    def ops(self, subgraph: int, ops: list[Op], places: dict[Value, int]) -> None:
        for op in ops:
            if op.kind == "SCAN":
                from convert.loops import write_scan

                write_scan(self, subgraph, op, places)
                continue
            if op.kind == "QUANTIZE" and self.quants[op.outputs[0]].bits > self.quants[op.inputs[0]].bits:
                self._widen(subgraph, op, places)
                continue
            if op.kind in WEIGHTED:
                self._layer(subgraph, op, places)
                continue
            if op.kind == "LOUDEST":
                self._loudest(subgraph, op, places)
                continue
            inputs = self._inputs(subgraph, op, places)
            for value in op.outputs:
                places[value] = self.tensor(subgraph, value)
            if op.kind == "SPLIT":  # the schema puts the axis first
                inputs.insert(0, self.integers(subgraph, op.options["axis"]))
            subtracts = op.kind == "ADD" and any(self._negative(value) for value in op.inputs)
            kind = "SUB" if subtracts else op.kind
            self.writer.op(
                subgraph, kind, inputs, [places[value] for value in op.outputs], **schema_options(op)
            )

    def _layer(self, subgraph: int, op: Op, places: dict[Value, int]) -> None:
        """A layer gives nothing below zero (convert/lift.py); an ADD restores it where no reader copes."""
        value = op.outputs[0]
        wanted = self.quants[value]
        held = lifted(wanted) if signed(op) and wanted.zero_point > -128 else wanted
        inputs = [places[op.inputs[0]], *self._weights(subgraph, op, held)]
        output = places[value] = self.tensor(subgraph, value)
        if held != wanted:
            output = self._tensor(subgraph, value.shape, held)
        self.writer.op(subgraph, op.kind, inputs, [output], **schema_options(op))
        if held != wanted:
            self._add(subgraph, output, held, -held.lift, places[value])

    def _loudest(self, subgraph: int, op: Op, places: dict[Value, int]) -> None:
        x, count = op.inputs[0], op.options["count"]
        _, frames, features = x.shape
        q = self.quants[x]
        shapes = ((1, frames, 1), (frames,), (count,), (frames, features), (count, features))
        column, levels, highest, rows, chosen = (self._tensor(subgraph, shape, q) for shape in shapes)
        which = self.writer.tensor(subgraph, (count,), "int32")
        places[op.outputs[0]] = self.tensor(subgraph, op.outputs[0])
        first = [self.integers(subgraph, [0, 0, 0]), self.integers(subgraph, [1, frames, 1])]
        self.writer.op(subgraph, "SLICE", [places[x], *first], [column])
        self._reshape(subgraph, column, levels, (frames,))
        self.writer.op(subgraph, "TOPK_V2", [levels, self.integers(subgraph, count)], [highest, which])
        self._reshape(subgraph, places[x], rows, (frames, features))
        self.writer.op(subgraph, "GATHER", [rows, which], [chosen], axis=0)
        self._reshape(subgraph, chosen, places[op.outputs[0]], op.outputs[0].shape)

    def _reshape(self, subgraph: int, tensor: int, result: int, shape: tuple[int, ...]) -> None:
        self.writer.op(subgraph, "RESHAPE", [tensor], [result], newShape=np.array(shape, np.int32))

    def _add(self, subgraph: int, tensor: int, q: Quant, number: float, result: int) -> None:
        """The number's scale is at most the tensor's, ``q``: so ADD rounds once, on all machines alike."""
        key = (subgraph, number, q.scale)
        if key not in self._constants:
            own = quant_of_range(number, number) if number else Quant(q.scale, 0)
            codes = quantise(np.array([number]), own)
            self._constants[key] = self.writer.tensor(
                subgraph, (1,), "int8", own.scale, own.zero_point, codes
            )
        self.writer.op(subgraph, "ADD", [tensor, self._constants[key]], [result], potScaleInt16=False)

    def _negative(self, value: Value) -> bool:
        return value.data is None and self.quants[value].negative

    def _widen(self, subgraph: int, op: Op, places: dict[Value, int]) -> None:
        """int8 to int16: a CAST of codes around zero, since tflite-runtime's QUANTIZE cannot widen."""
        value, wide = op.inputs[0], op.outputs[0]
        source = places[value]
        if self.quants[value].zero_code:
            source = self.requantised(subgraph, places, value, centred(self.quants[value]))
        places[wide] = self.tensor(subgraph, wide)
        self.writer.op(subgraph, "CAST", [source], [places[wide]], inDataType=INT8, outDataType=INT16)

    def _inputs(self, subgraph: int, op: Op, places: dict[Value, int]) -> list[int]:
        same_scale = self.quants[op.outputs[0]] if op.kind == "CONCATENATION" else None
        inputs = []
        for value in op.inputs:
            if value.data is not None:
                inputs.append(self._constant(subgraph, value, op.outputs[0].bits))
            elif same_scale is not None:
                inputs.append(self.requantised(subgraph, places, value, same_scale))
            else:
                inputs.append(places[value])
        return inputs + [self.integers(subgraph, numbers) for numbers in index_inputs(op)]

    def requantised(self, subgraph: int, places: dict[Value, int], value: Value, wanted: Quant) -> int:
        """The value's tensor at the wanted scale, converted if it has another."""
        if self.quants[value] == wanted:
            return places[value]
        tensor = self._tensor(subgraph, value.shape, wanted)
        if self.quants[value].bits == wanted.bits == 8:
            self._add(subgraph, places[value], self.quants[value], 0.0, tensor)
        else:
            self.writer.op(subgraph, "QUANTIZE", [places[value]], [tensor])
        return tensor

    def integers(self, subgraph: int, numbers: Any) -> int:
        """An int32 constant: a scalar from a number, else a tensor from a nested sequence."""
        array = np.asarray(numbers, np.int32)
        key = (subgraph, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.writer.tensor(subgraph, array.shape, "int32", data=array)
        return self._constants[key]

    def _constant(self, subgraph: int, value: Value, bits: int) -> int:
        assert value.data is not None
        key = (subgraph, value, bits)
        if key not in self._constants:
            q = quant_of_range(float(value.data.min()), float(value.data.max()), bits)
            codes = quantise(value.data, q)
            self._constants[key] = self.writer.tensor(
                subgraph, value.shape, q.dtype, q.scale, q.zero_point, codes
            )
        return self._constants[key]

    def _weights(self, subgraph: int, op: Op, held: Quant) -> tuple[int, int]:
        """Weights and bias of a layer whose output is ``held`` so."""
        x, weights, bias = op.inputs
        assert weights.data is not None and bias.data is not None
        axis = scale_axis(op)
        along = axis or 0
        sign = -1 if held.negative else 1
        codes, scale = quantise_weights(sign * weights.data, axis)
        if (scale == scale[0]).all():  # as of a mean
            scale = scale[:1]
        key = (subgraph, weights, sign)
        if key not in self._constants:
            self._constants[key] = self.writer.tensor(subgraph, weights.shape, "int8", scale, 0, codes, along)
        q = self.quants[x]
        terms = sign * bias.data.astype(np.float64) + held.lift
        if op.kind == "FULLY_CONNECTED" and not terms.any() and not q.lift:
            return self._constants[key], -1  # the schema's sign for an input left out
        bias_key = (subgraph, bias, q, held)
        if bias_key not in self._constants:
            bias_scale = (np.float64(q.scale) * scale).astype(np.float32)
            others = tuple(n for n in range(codes.ndim) if n != along)
            above = codes.sum(axis=others, dtype=np.int64) * (q.lift / q.scale)
            limit = 2**31 - 1
            whole = np.clip(np.rint(terms / bias_scale.astype(np.float64) - above), -limit, limit)
            dtype = "int64" if q.bits == 16 else "int32"
            self._constants[bias_key] = self.writer.tensor(subgraph, bias.shape, dtype, bias_scale, 0, whole)
        return self._constants[key], self._constants[bias_key]


def index_inputs(op: Op) -> list[Any]:
    """The int32 inputs that follow the data of some operations."""
    o = op.options
    if op.kind == "SLICE":
        return [o["begin"], o["size"]]
    if op.kind in ("MEAN", "SUM", "TRANSPOSE"):
        return [o["axes"]]
    return [o["pads"]] if op.kind == "PAD" else []


def schema_options(op: Op) -> dict[str, Any]:
    """The operation's options under the schema's names."""
    from tensorflow.lite.python import schema_py_generated as schema

    o = op.options
    options: dict[str, Any] = {}
    if o.get("activation"):
        options["fusedActivationFunction"] = getattr(schema.ActivationFunctionType, o["activation"])
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        options |= {"strideH": o["strides"][0], "strideW": o["strides"][1], "padding": _padding(schema, o)}
        options |= {"dilationHFactor": o["dilation"][0], "dilationWFactor": o["dilation"][1]}
    if op.kind == "DEPTHWISE_CONV_2D":
        options["depthMultiplier"] = op.inputs[1].shape[3] // op.inputs[0].shape[3]
    if op.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        options |= {"strideH": o["strides"][0], "strideW": o["strides"][1], "padding": _padding(schema, o)}
        options |= {"filterHeight": o["size"][0], "filterWidth": o["size"][1]}
    if op.kind == "FULLY_CONNECTED":
        options["keepNumDims"] = len(op.outputs[0].shape) > 2
    if op.kind == "CONCATENATION":
        options["axis"] = o["axis"]
    if op.kind in ("MEAN", "SUM"):
        options["keepDims"] = o["keep"]
    if op.kind == "RESHAPE":
        options["newShape"] = np.array(o["shape"], np.int32)
    if op.kind == "SOFTMAX":
        options["beta"] = 1.0
    if op.kind == "SPLIT":
        options["numSplits"] = o["parts"]
    if op.kind in ("ADD", "SUB"):
        options["potScaleInt16"] = False
    return options


def _padding(schema: Any, options: dict[str, Any]) -> int:
    return int(getattr(schema.Padding, options["padding"]))
