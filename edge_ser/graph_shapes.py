"""The shape that each operation gives, computed from its operands as TFLite's kernels do.

A graph declares the shape of every tensor, and kernels compute it again when they are prepared. Where the two
differ, tensors shrink to nothing or outgrow what was checked, and some kernels divide by such a size. So they
must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_ser.flatbuffer import Table
    from edge_ser.graph import Tensor

Shape = tuple[int, ...]
SAME = 0  # padding


def check_shapes(
    name: str, op: Table, options: Table | None, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> None:
    """Raise ModelError through ``op`` unless its outputs have the shapes that follow from its inputs."""
    for output in outputs:
        shape = _shape(name, options, inputs, output.shape, len(outputs))
        op.check(output.shape == shape, f"gives {shape}, and its output is declared as {output.shape}")
    if name == "TOPK_V2":
        types = [output.dtype for output in outputs]
        op.check(types == [inputs[0].dtype, "int32"], "gives odd types")


def _shape(
    name: str, options: Table | None, inputs: Sequence[Tensor], declared: Shape, n_outputs: int
) -> Shape | None:
    x = inputs[0].shape
    if name in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "LESS"):
        return _broadcast(x, inputs[1].shape)
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D") and options is not None:
        return _windowed(name, options, inputs)
    if name == "FULLY_CONNECTED":
        n_out, n_in = inputs[1].shape
        keeps = options is not None and options.scalar(2, "b") != 0
        if keeps:
            return (*x[:-1], n_out) if x and x[-1] == n_in else None
        return (prod(x) // n_in, n_out)
    if name == "CONCATENATION":
        return _concatenated([tensor.shape for tensor in inputs], options.scalar(0, "i") if options else 0)
    if name == "RESHAPE":
        how = inputs[1].values if len(inputs) > 1 else options.integers(0) if options else ()
        return _reshaped(x, how or (), declared)
    if name == "SQUEEZE":
        gone = {axis % len(x) for axis in options.integers(0)} if options and x else set()
        return tuple(n for i, n in enumerate(x) if n != 1 or (gone and i not in gone))
    if name == "EXPAND_DIMS":
        at = (inputs[1].values or (0,))[0] % (len(x) + 1)
        return (*x[:at], 1, *x[at:])
    if name == "SPLIT":
        return _split(inputs[1].shape, (inputs[0].values or (0,))[0], n_outputs)
    if name == "PAD":
        widths = inputs[1].values or ()
        return (
            tuple(n + widths[2 * i] + widths[2 * i + 1] for i, n in enumerate(x))
            if len(widths) == 2 * len(x)
            else None
        )
    if name == "TRANSPOSE":
        return tuple(x[axis] for axis in inputs[1].values or ())
    if name in ("MEAN", "SUM"):
        gone = {axis % len(x) for axis in inputs[1].values or ()}
        keeps = options is not None and options.scalar(0, "b") != 0
        return tuple(1 if i in gone else n for i, n in enumerate(x) if keeps or i not in gone)
    if name == "SLICE":
        begin, size = inputs[1].values or (), inputs[2].values or ()
        return tuple(d - b if n == -1 else n for b, n, d in zip(begin, size, x, strict=True))
    if name == "TOPK_V2":
        return x[:-1] + tuple(inputs[1].values or ())
    if name == "GATHER":
        axis, batch = (options.scalar(0, "i"), options.scalar(1, "i")) if options else (0, 0)
        good = 0 <= axis < len(x) and batch == 0
        return x[:axis] + inputs[1].shape + x[axis + 1 :] if good else None
    return declared if name == "WHILE" else x  # a loop is checked elsewhere; the rest goes element by element


def _reshaped(x: Shape, how: Shape, declared: Shape) -> Shape | None:
    fits = len(how) == len(declared) and all(n in (-1, d) for n, d in zip(how, declared, strict=True))
    return declared if fits and how.count(-1) <= 1 and prod(declared) == prod(x) else None


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    shorter = (1,) * (len(longer) - len(shorter)) + shorter
    fits = all(m == n or 1 in (m, n) for m, n in zip(longer, shorter, strict=True))
    return tuple(map(max, zip(longer, shorter, strict=True))) if fits else None


def _windowed(name: str, options: Table, inputs: Sequence[Tensor]) -> Shape | None:
    batch, height, width, channels = inputs[0].shape
    if name.endswith("POOL_2D"):
        size = options.scalar(4, "i"), options.scalar(3, "i")
        dilation = 1, 1
    else:
        weights = inputs[1].shape
        size = weights[1], weights[2]
        first = 4 if name == "CONV_2D" else 5
        dilation = options.scalar(first + 1, "i", 1), options.scalar(first, "i", 1)
        channels = weights[0] if name == "CONV_2D" else weights[3]
    strides = options.scalar(2, "i"), options.scalar(1, "i")
    places = []
    for n, k, d, stride in zip((height, width), size, dilation, strides, strict=True):
        reach = 0 if options.scalar(0, "b") == SAME else (k - 1) * d
        places.append((n - reach + stride - 1) // stride)
    return (batch, *places, channels) if min(places) > 0 else None


def _concatenated(shapes: Sequence[Shape], axis: int) -> Shape | None:
    rank = len(shapes[0])
    if not -rank <= axis < rank or any(len(shape) != rank for shape in shapes):
        return None
    axis %= rank
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1:
        return None
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _split(x: Shape, axis: int, parts: int) -> Shape | None:
    axis %= len(x)
    return (*x[:axis], x[axis] // parts, *x[axis + 1 :]) if x[axis] % parts == 0 else None
