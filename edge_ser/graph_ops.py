"""The operations that a model's graph may use, and what each must look like before an interpreter may see it.

TFLite kernels check most of their operands themselves; the rest (strides of zero divide, missing options, odd
ranks) ends the process in some runtimes, so it is checked here. Codes and field numbers are those of TFLite's
schema.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_ser.flatbuffer import Table
    from edge_ser.graph import Part, Tensor


class Kind(NamedTuple):
    """An operation: its name, its options table's number in the schema (0: none), how many inputs and
    outputs.
    """

    name: str
    options: int
    inputs: tuple[int, int]
    outputs: tuple[int, int] = (1, 1)


MANY = 4096
KINDS = {
    0: Kind("ADD", 11, (2, 2)),
    1: Kind("AVERAGE_POOL_2D", 5, (1, 1)),
    2: Kind("CONCATENATION", 10, (1, MANY)),
    3: Kind("CONV_2D", 1, (3, 3)),
    4: Kind("DEPTHWISE_CONV_2D", 2, (3, 3)),
    9: Kind("FULLY_CONNECTED", 8, (2, 3)),
    14: Kind("LOGISTIC", 0, (1, 1)),
    17: Kind("MAX_POOL_2D", 5, (1, 1)),
    18: Kind("MUL", 21, (2, 2)),
    19: Kind("RELU", 0, (1, 1)),
    21: Kind("RELU6", 0, (1, 1)),
    22: Kind("RESHAPE", 17, (1, 2)),
    25: Kind("SOFTMAX", 9, (1, 1)),
    28: Kind("TANH", 0, (1, 1)),
    34: Kind("PAD", 22, (2, 2)),
    36: Kind("GATHER", 23, (2, 2)),
    39: Kind("TRANSPOSE", 26, (2, 2)),
    40: Kind("MEAN", 27, (2, 2)),
    41: Kind("SUB", 28, (2, 2)),
    43: Kind("SQUEEZE", 30, (1, 1)),
    48: Kind("TOPK_V2", 34, (2, 2), (2, 2)),
    49: Kind("SPLIT", 35, (2, 2), (1, MANY)),
    53: Kind("CAST", 37, (1, 1)),
    55: Kind("MAXIMUM", 39, (2, 2)),
    57: Kind("MINIMUM", 39, (2, 2)),
    58: Kind("LESS", 41, (2, 2)),
    65: Kind("SLICE", 48, (3, 3)),
    70: Kind("EXPAND_DIMS", 52, (2, 2)),
    74: Kind("SUM", 27, (2, 2)),
    114: Kind("QUANTIZE", 89, (1, 1)),
    117: Kind("HARD_SWISH", 91, (1, 1)),
    119: Kind("WHILE", 93, (1, MANY), (1, MANY)),
}
WINDOWED = {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
# Operands that say how, not what: positions, axes, sizes. They must be constants, so that shapes are fixed.
HOW = {
    **dict.fromkeys(("RESHAPE", "PAD", "TRANSPOSE", "MEAN", "SUM", "EXPAND_DIMS", "TOPK_V2"), (1,)),
    "SPLIT": (0,),
    "SLICE": (1, 2),
}
MAX_STEP = 1 << 12  # strides, dilations, pooling windows
MAX_TURNS = 1 << 16  # of a loop
MIN_SCALE, MAX_SCALE = 1e-7, 1e4  # of computed tensors: int16 needs 1e-5, logits 0.1
MAX_RATIO = 2.0**24


def check_operands(name: str, op: Table, inputs: Sequence[Tensor | None]) -> None:
    """Ranks, constants and channel counts of one operation; raises ModelError through ``op``."""
    first = inputs[0]
    for place, tensor in enumerate(inputs):
        # A convolution without bias crashes tflite-runtime; a fully-connected layer does not.
        optional = name == "FULLY_CONNECTED" and place == 2
        op.check(tensor is not None or optional, f"has no input {place}")
    for place in HOW.get(name, ()):
        how = inputs[place] if place < len(inputs) else None
        op.check(how is None or (how.values is not None and how.dtype == "int32"), "has no fixed shape")
    if name in WEIGHTED:
        _check_weights(name, op, inputs)
    elif name in WINDOWED:
        op.check(first is not None and len(first.shape) == 4, "needs four dimensions")
    if name in HOW and first is not None and len(inputs) > 1:
        _check_positions(name, op, [tensor for tensor in inputs if tensor is not None])


def _check_weights(name: str, op: Table, inputs: Sequence[Tensor | None]) -> None:
    x, weights, bias = (*inputs, None)[:3]
    assert x is not None and weights is not None
    rank = 2 if name == "FULLY_CONNECTED" else 4
    op.check(len(weights.shape) == rank and weights.dtype == "int8", "has odd weights")
    op.check(weights.values is not None and (bias is None or bias.values is not None), "has no weights")
    op.check(x.dtype in ("int8", "int16") and (len(x.shape) == 4 or rank == 2), "has an odd input")
    across = 3 if name == "DEPTHWISE_CONV_2D" else 0
    n_out = weights.shape[across]
    op.check(len(weights.scale) == 1 or weights.axis == across, "has its scales along another axis")
    op.check(bias is None or bias.shape == (n_out,), "has a bias of another size")
    op.check(bias is None or bias.dtype == ("int32" if x.dtype == "int8" else "int64"), "has an odd bias")
    if name == "CONV_2D":
        op.check(x.shape[3] == weights.shape[3], "has weights of another depth")
    elif name == "DEPTHWISE_CONV_2D":
        op.check(n_out % x.shape[3] == 0 and weights.shape[0] == 1, "has odd weights")
    else:
        op.check(prod(x.shape) % weights.shape[1] == 0, "has weights of another depth")


def _check_positions(name: str, op: Table, inputs: Sequence[Tensor]) -> None:
    x = inputs[1] if name == "SPLIT" else inputs[0]
    rank = len(x.shape)
    values = [inputs[place].values or () for place in HOW[name]]
    if name in ("TRANSPOSE", "MEAN", "SUM", "SPLIT", "EXPAND_DIMS"):
        limit = rank + 1 if name == "EXPAND_DIMS" else rank
        good = all(-limit <= axis < limit for axis in values[0])
        if name == "TRANSPOSE":
            good = good and sorted(axis % rank for axis in values[0]) == list(range(rank))
        elif name in ("SPLIT", "EXPAND_DIMS"):
            good = good and len(values[0]) == 1
        op.check(good, "has axes outside of its input")
    elif name == "TOPK_V2":
        op.check(len(values[0]) == 1 and rank > 0 and 1 <= values[0][0] <= x.shape[-1], "takes an odd number")
    elif name == "PAD":
        good = inputs[1].shape == (rank, 2) and all(0 <= n <= MAX_STEP for n in values[0])
        op.check(good, "has odd widths")
    elif name == "SLICE":
        begin, size = values
        good = len(begin) == len(size) == rank
        for b, n, d in zip(begin, size, x.shape, strict=False):
            good = good and b >= 0 and n >= -1 and b + max(n, 1) <= d
        op.check(good, "reaches outside of its input")


def check_scales(name: str, op: Table, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Kernels turn ratios of scales into shifts of 32-bit integers, and some end the process beyond that."""
    computed = [tensor for tensor in (*inputs, *outputs) if tensor.values is None and tensor.scale]
    for tensor in computed:
        op.check(MIN_SCALE <= tensor.scale[0] <= MAX_SCALE, f"has an activation of scale {tensor.scale[0]:g}")
    given = [max(tensor.scale) for tensor in inputs[:2] if tensor.scale]
    made = [tensor.scale[0] for tensor in outputs if tensor.scale]
    if given and made:
        ratio = (prod(given) if name in WEIGHTED or name == "MUL" else max(given)) / min(made)
        op.check(ratio <= MAX_RATIO, f"scales by {ratio:g}")


def check_options(name: str, op: Table, options: Table | None, n_outputs: int) -> None:
    """The options that kernels use unchecked: strides, dilations, windows, padding, activation, vectors."""
    op.check(options is not None or name not in WINDOWED | {"WHILE", "SPLIT"}, "has no options")
    if options is None:
        return
    if name in WINDOWED:
        steps, activation = {
            "CONV_2D": (((1, 0), (2, 0), (4, 1), (5, 1)), 3),
            "DEPTHWISE_CONV_2D": (((1, 0), (2, 0), (5, 1), (6, 1)), 4),
        }.get(name, (((1, 0), (2, 0), (3, 0), (4, 0)), 5))
        op.check(0 <= options.scalar(0, "b") <= 1, "has an unknown padding")
        for field, default in steps:
            op.check(
                1 <= options.scalar(field, "i", default) <= MAX_STEP,
                "has a stride or window of nought",
            )
        op.check(0 <= options.scalar(activation, "b") <= 3, "has an unknown activation")
    elif name in ("ADD", "SUB", "MUL", "FULLY_CONNECTED"):
        op.check(0 <= options.scalar(0, "b") <= 3, "has an unknown activation")
        if name == "FULLY_CONNECTED":
            op.check(options.scalar(1, "b") == 0, "has shuffled weights")
    elif name in ("RESHAPE", "SQUEEZE"):
        op.check(len(options.integers(0)) <= 5, "has too many dimensions")
    elif name == "SPLIT":
        op.check(options.scalar(0, "i") == n_outputs, "disagrees with its outputs")


def check_loop(op: Table, ends: Sequence[Tensor | None], condition: Part, body: Part) -> None:
    """A loop must carry the same tensors in, around and out, and count the first by one to a limit."""
    given = [(tensor.shape, tensor.dtype) for tensor in ends if tensor is not None]
    half = len(ends) // 2
    sides = [given[:half], given[half:]]
    for part, places in ((condition, condition.inputs), (body, body.inputs), (body, body.outputs)):
        sides.append([(part.tensors[i].shape, part.tensors[i].dtype) for i in places])
    op.check(all(side == sides[0] for side in sides), "does not carry the same tensors around")
    names = [operator.kind.name for operator in condition.operators]
    counts = sides[0][0] == ((1,), "int32") and names == ["LESS"]
    op.check(counts and condition.operators[0].outputs == condition.outputs, "does not test a counter")
    pair = condition.operators[0].inputs
    up = pair[0] == condition.inputs[0]
    op.check(up != (pair[1] == condition.inputs[0]), "does not test its own counter")
    limit = condition.tensors[pair[1] if up else pair[0]].values
    op.check(limit is not None and len(limit) == 1 and -1 <= limit[0] <= MAX_TURNS, "has no limit")
    adds = [operator for operator in body.operators if operator.outputs == body.outputs[:1]]
    op.check(len(adds) == 1 and adds[0].kind.name == "ADD", "does not count")
    added = [body.tensors[i].values for i in adds[0].inputs if i != body.inputs[0]]
    op.check(added == [(1 if up else -1,)], "does not count by one")
