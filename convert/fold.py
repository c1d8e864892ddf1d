"""Simplifies a float graph without changing what it computes: fewer operations, fewer roundings.

Batch normalisation arrives as a multiplication and an addition by constants and disappears into the weights
before it; a ReLU becomes the activation of the operation before it; the mean of one frame is a reshape;
neighbouring reshapes become one or none.
"""

from __future__ import annotations

from math import prod

from convert.ir import Graph, Op, Value, constant

_FUSES_ACTIVATION = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "SUB", "MUL"}
_LINEAR = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}


def fold(graph: Graph) -> None:
    """Simplifies ``graph`` in place."""
    position = 0
    while position < len(graph.ops):
        op = graph.ops[position]
        before = op.inputs[0].produced_by
        sole = before is not None and before in graph.ops and uses(graph, op.inputs[0]) == 1
        if op.kind == "MEAN" and prod(op.inputs[0].shape) == prod(op.outputs[0].shape):
            op.kind, op.options = "RESHAPE", {"shape": list(op.outputs[0].shape)}
        elif op.kind == "RESHAPE" and op.inputs[0].shape == op.outputs[0].shape:
            bypass(graph, op)
        elif op.kind == "RESHAPE" and before is not None and before.kind == "RESHAPE" and before in graph.ops:
            op.inputs[0] = before.inputs[0]
            if uses(graph, before.outputs[0]) == 0:
                graph.ops.remove(before)
            position = 0
        elif before is not None and sole and _folds(op, before):
            bypass(graph, op)
        else:
            position += 1


def _folds(op: Op, before: Op) -> bool:
    """Takes ``op`` into ``before`` if that computes the same."""
    if before.options.get("activation"):
        return False
    if op.kind in ("RELU", "RELU6") and before.kind in _FUSES_ACTIVATION:
        before.options["activation"] = op.kind
        return True
    if op.kind not in ("MUL", "ADD") or before.kind not in _LINEAR or op.inputs[1].data is None:
        return False
    factor_or_term = op.inputs[1].data
    x, weights, bias = before.inputs
    channels = before.outputs[0].shape[-1]
    if factor_or_term.size not in (1, channels) or weights.data is None or bias.data is None:
        return False
    if op.kind == "ADD":
        before.inputs = [x, weights, constant(bias.data + factor_or_term.reshape(-1))]
    else:
        factor = factor_or_term.reshape(-1)
        shape = [1] * weights.data.ndim
        shape[3 if before.kind == "DEPTHWISE_CONV_2D" else 0] = -1
        before.inputs = [x, constant(weights.data * factor.reshape(shape)), constant(bias.data * factor)]
    before.options["activation"] = op.options.get("activation")
    return True


def bypass(graph: Graph, op: Op) -> None:
    """Removes ``op``; whoever read its output reads its input."""
    graph.ops.remove(op)
    replace(graph, op.outputs[0], op.inputs[0])


def replace(graph: Graph, value: Value, instead: Value) -> None:
    """Whoever read ``value`` reads ``instead``."""
    for op in graph.ops:
        op.inputs = [instead if x is value else x for x in op.inputs]
    graph.outputs = [instead if x is value else x for x in graph.outputs]
    for state in graph.states:
        if state.after is value:
            state.after = instead
        if state.before.like is value:
            state.before.like = instead


def uses(graph: Graph, value: Value) -> int:
    """How often operations, outputs and states read ``value``."""
    inside = sum(x is value for op in graph.ops for x in op.inputs)
    return (
        inside + sum(x is value for x in graph.outputs) + sum(state.after is value for state in graph.states)
    )
