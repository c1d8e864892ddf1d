"""16 bits for everything between a graph's int8 input and its int8 output: an option for hard cases.

Weights stay int8. XNNPACK has no such kernels, so this costs time on every machine (docs/converter.md).
"""

from __future__ import annotations

from convert.ir import Graph, Op, Value

_NARROW_ONLY = {"HARD_SWISH"}  # no 16-bit kernel


def widen(graph: Graph) -> None:
    """Gives every computed value 16 bits, with one conversion behind the input and one before the output."""
    features, output = graph.inputs[0], graph.outputs[0]
    for part in [graph, *(op.options["body"] for op in graph.ops if op.kind == "SCAN")]:
        for op in part.ops:
            for value in [*op.inputs, *op.outputs]:
                if value.data is None and value is not features and op.kind not in _NARROW_ONLY:
                    value.bits = 16
        for state in part.states:
            state.before.bits = state.after.bits = 16
        for value in part.inputs:
            value.bits = 8 if value is features else 16
        part.ops = [piece for op in part.ops for piece in _flat_layer(op)]
    wide = _made(
        Op("QUANTIZE", [features], [Value(features.shape, low=features.low, high=features.high, bits=16)])
    )
    for op in graph.ops:
        op.inputs = [wide.outputs[0] if each is features else each for each in op.inputs]
    for state in graph.states:
        if state.before.like is features:
            state.before.like = wide.outputs[0]
    narrow = _made(Op("QUANTIZE", [output], [Value(output.shape, low=output.low, high=output.high)]))
    graph.ops = [wide, *graph.ops, narrow]
    graph.outputs = narrow.outputs


def _flat_layer(op: Op) -> list[Op]:
    """A fully-connected layer on more than two axes between reshapes: tflite-runtime's 16-bit kernel knows
    only two.
    """
    x, y = op.inputs[0], op.outputs[0]
    if op.kind != "FULLY_CONNECTED" or len(y.shape) == 2:
        return [op]
    rows = 1
    for size in y.shape[:-1]:
        rows *= size
    flat_x = Value((rows, x.shape[-1]), bits=16, low=x.low, high=x.high)
    flat_y = Value((rows, y.shape[-1]), bits=16, low=y.low, high=y.high)
    before = _made(Op("RESHAPE", [x], [flat_x], {"shape": list(flat_x.shape)}))
    layer = _made(Op(op.kind, [flat_x, *op.inputs[1:]], [flat_y], op.options))
    after = _made(Op("RESHAPE", [flat_y], [y], {"shape": list(y.shape)}))
    return [before, layer, after]


def _made(op: Op) -> Op:
    for value in op.outputs:
        value.produced_by = op
    return op
