"""Rewrites the convolutions that read a plane of features into ones that are fast, with the same numbers.

Kernels for int8 take input channels by the eight and output channels by the sixteen; a plane has one channel,
which costs as much as eight. So where convolutions step over frames, the frames of a step and a few
coefficients become the channels of a position (convert/positions.py), and parallel ones, joined behind,
become one where that is less work. It is done last: ranges are known, weights are tuned, and every filter
keeps its scale, so of a single path the int8 outputs are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert.fold import bypass, replace, uses
from convert.graphs import drop_unused
from convert.ir import Graph, Op, State, Value, constant
from convert.positions import Filters, Grid, Span

IN_GRAIN, OUT_GRAIN = 8, 16  # channels that kernels take at once, on x86 and, nearly, on ARM
_POOLS = {"DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"}


@dataclass(frozen=True, eq=False)
class Path:
    """A convolution over the plane; ``ring`` is the state with the frames before a chunk, if it sees any, and
    ``pool`` what alone reads the convolution, if that pools it channel by channel.
    """

    conv: Op
    plane: Value
    grid: Grid
    filters: Filters
    ring: State | None
    pool: Op | None

    @property
    def end(self) -> Value:
        return (self.pool or self.conv).outputs[0]


def pack_stem(graph: Graph) -> None:
    """Rewrites ``graph``, whose ranges are known, in place; what would not gain is left as it is."""
    found = [path for op in graph.ops if (path := _path(graph, op)) is not None]
    for plane, grid in dict.fromkeys((path.plane, path.grid) for path in found if _gains(path)):
        groups = [[path] for path in found if (path.plane, path.grid) == (plane, grid) and _gains(path)]
        _join(graph, groups)
        start = min(graph.ops.index(path.conv) for group in groups for path in group)
        behind = graph.ops[start:]
        del graph.ops[start:]
        instead = _write(graph, plane, grid, groups)
        graph.ops += behind
        for value, other in instead.items():
            replace(graph, value, other)
    for op in [op for op in graph.ops if op.kind == "CONCATENATION" and len(op.inputs) == 1]:
        bypass(graph, op)
    drop_unused(graph)


def _path(graph: Graph, conv: Op) -> Path | None:
    """What ``conv`` sees of a plane, if it is one that can be packed: zeros and past frames before it, and it
    steps over whole positions.
    """
    if conv.kind != "CONV_2D" or conv.inputs[0].shape[3] != 1 or conv.options["dilation"] != (1, 1):
        return None
    x, top, left, ring = conv.inputs[0], 0, 0, None
    weights = np.asarray(conv.inputs[1].data)[..., 0]
    strides = conv.options["strides"]
    before = x.produced_by
    if conv.options["padding"] == "SAME":
        top, left = (
            max((-(-n // stride) - 1) * stride + size - n, 0) // 2
            for n, size, stride in zip(x.shape[1:3], weights.shape[1:], strides, strict=True)
        )
    elif before is not None and before.kind == "PAD":
        x, (_, (top, _), (left, _), _) = before.inputs[0], before.options["pads"]
        before = x.produced_by
    if before is not None and before.kind == "CONCATENATION" and not top:
        ring = next((state for state in graph.states if state.before is before.inputs[0]), None)
        x, top = before.inputs[1], before.inputs[0].shape[1]
        if ring is None or ring.before.like is not x or not _reads_alone(graph, conv, before.outputs[0]):
            return None
        before = x.produced_by
    grid = Grid(strides[0], max(1, IN_GRAIN // strides[0]))
    fits = strides[0] > 1 and strides[1] == 1 and not (x.shape[1] % grid.frames or x.shape[2] % grid.across)
    if not fits or before is None or before.kind != "RESHAPE" or before.inputs[0] not in graph.inputs:
        return None
    if conv.outputs[0].shape[1:3] != (x.shape[1] // grid.frames, x.shape[2]):
        return None
    return Path(conv, x, grid, Filters(weights, top, left), ring, _pool_behind(graph, conv))


def _reads_alone(graph: Graph, conv: Op, joined: Value) -> bool:
    """Whether past and new frames, ``joined``, are read by ``conv``, padded or not, and by the next state."""
    seen = conv.inputs[0]
    return uses(graph, joined) == 2 and (seen is joined or uses(graph, seen) == 1)


def _pool_behind(graph: Graph, conv: Op) -> Op | None:
    value = conv.outputs[0]
    reader = next((op for op in graph.ops if value in op.inputs), None)
    if reader is None or reader.kind not in _POOLS or uses(graph, value) != 1:
        return None
    return reader if reader.outputs[0].shape[3] == value.shape[3] else None


def _gains(path: Path) -> bool:
    _, frames, width, channels = path.conv.outputs[0].shape
    _, rows, columns, _ = path.conv.inputs[1].shape
    before = frames * width * rows * columns * IN_GRAIN * _up(channels, OUT_GRAIN)
    return _work([path]) < before


def _work(group: Sequence[Path]) -> int:
    """Multiply-adds of a group as one convolution over positions, those with padding among them."""
    grid, (rows, columns) = group[0].grid, _spans(group)
    _, frames, width, _ = group[0].conv.outputs[0].shape
    channels = grid.across * sum(path.conv.outputs[0].shape[3] for path in group)
    taps = rows.size * columns.size * _up(grid.depth, IN_GRAIN)
    return frames * (width // grid.across) * taps * _up(channels, OUT_GRAIN)


def _spans(group: Sequence[Path]) -> tuple[Span, Span]:
    grid = group[0].grid
    rows, columns = group[0].filters.spans(grid)
    for path in group[1:]:
        more = path.filters.spans(grid)
        rows, columns = rows | more[0], columns | more[1]
    return (rows, columns) if group[0].ring else (rows.centred(), columns.centred())


def _up(channels: int, grain: int) -> int:
    return -(-channels // grain) * grain


def _join(graph: Graph, groups: list[list[Path]]) -> None:
    """Unites groups whose ends are neighbours in a concatenation of channels, where that is less work."""
    for cat in [op for op in graph.ops if op.kind == "CONCATENATION" and op.options["axis"] == 3]:
        place = 1
        while place < len(cat.inputs):
            ends = cat.inputs[place - 1 : place + 1]
            pair = [group for end in ends for group in groups if group[-1].end is end]
            if len(pair) == 2 and pair[0] is not pair[1] and _unite(graph, *pair):
                pair[1][:0] = pair[0]
                groups.remove(pair[0])
                del cat.inputs[place - 1]  # the last path's end stands for all
            else:
                place += 1


def _unite(graph: Graph, first: list[Path], second: list[Path]) -> bool:
    a, b = first[0], second[0]
    same_step = a.grid == b.grid and _activation(a.conv) == _activation(b.conv)
    alike = same_step and a.ring is b.ring
    if a.pool is None or b.pool is None:
        alike = alike and a.pool is b.pool
    else:
        alike = alike and (a.pool.kind, a.pool.options) == (b.pool.kind, b.pool.options)
        shapes = [[value.shape[:-1] for value in pool.inputs[1:]] for pool in (a.pool, b.pool)]
        alike = alike and shapes[0] == shapes[1]
    alone = all(uses(graph, path.end) <= 1 for path in (*first, *second))
    return bool(alike and alone and _work([*first, *second]) <= _work(first) + _work(second))


def _activation(conv: Op) -> str:
    return conv.options.get("activation") or ""


def _write(graph: Graph, plane: Value, grid: Grid, groups: Sequence[Sequence[Path]]) -> dict[Value, Value]:
    """Appends the convolutions over positions; gives what stands for the ends, or convolutions, of before."""
    assert plane.produced_by is not None
    frames, width = plane.shape[1] // grid.frames, plane.shape[2] // grid.across
    shape = (1, frames, grid.frames, width, grid.across)
    rows = _reshape(graph, plane.produced_by.inputs[0], shape)
    axes = [0, 1, 3, 2, 4]
    together = graph.op("TRANSPOSE", [rows], tuple(shape[axis] for axis in axes), axes=axes)
    positions = _reshape(graph, together, (1, frames, width, grid.depth))
    instead = {}
    for group in groups:
        value = _convolution(graph, positions, group)
        if len(group) == 1 and _pools_positions(group[0]):
            instead[group[0].end] = _pooled_within(graph, value, group[0])
        elif len(group) == 1:
            instead[group[0].conv.outputs[0]] = value
        else:
            instead[group[-1].end] = value if group[0].pool is None else _pooled(graph, value, group)
    return instead


def _reshape(graph: Graph, x: Value, shape: tuple[int, ...]) -> Value:
    return graph.op("RESHAPE", [x], shape, shape=list(shape))


def _convolution(graph: Graph, x: Value, group: Sequence[Path]) -> Value:
    """The outputs of a group's convolutions, side by side as channels of one coefficient."""
    grid, (rows, columns), ring = group[0].grid, _spans(group), group[0].ring
    padding = "SAME"
    if ring is not None:
        padding = "VALID"
        x = _with_past(graph, x, ring, rows.before)
        if columns.size > 1:
            pads = [[0, 0], [0, 0], [columns.before, columns.behind], [0, 0]]
            x = graph.op("PAD", [x], (*x.shape[:2], x.shape[2] + columns.size - 1, grid.depth), pads=pads)
    parts = [path.filters.over_positions(grid, (rows, columns)) for path in group]
    weights = np.concatenate(parts, axis=1)  # coefficients of a position first, then channels of all paths
    channels = weights.shape[1]
    bias = np.concatenate([np.asarray(path.conv.inputs[2].data) for path in group])
    inputs = [x, constant(weights.reshape(-1, *weights.shape[2:])), constant(np.tile(bias, grid.across))]
    outputs = [path.conv.outputs[0] for path in group]
    _, frames, width, _ = outputs[0].shape
    options = {**group[0].conv.options, "strides": (1, 1), "padding": padding}
    shape = (1, frames, width // grid.across, grid.across * channels)
    value = _with_range(graph.op("CONV_2D", inputs, shape, **options), outputs)
    return _with_range(_reshape(graph, value, (1, frames, width, channels)), outputs)


def _with_past(graph: Graph, x: Value, ring: State, count: int) -> Value:
    """x behind the last ``count`` positions before the chunk, which become the state."""
    shape = (1, count, *x.shape[2:])
    ring.before = Value(shape, "ring", like=x)
    joined = graph.op("CONCATENATION", [ring.before, x], (1, count + x.shape[1], *x.shape[2:]), axis=1)
    ring.after = graph.op("SLICE", [joined], shape, begin=[0, x.shape[1], 0, 0], size=list(shape))
    return joined


def _pooled(graph: Graph, x: Value, group: Sequence[Path]) -> Value:
    pools = [path.pool for path in group if path.pool is not None]
    constants = [[np.asarray(value.data) for value in pool.inputs[1:]] for pool in pools]
    joined = [constant(np.concatenate(arrays, axis=-1)) for arrays in zip(*constants, strict=True)]
    shape = (*pools[0].outputs[0].shape[:3], x.shape[3])
    value = graph.op(pools[0].kind, [x, *joined], shape, **pools[0].options)
    return _with_range(value, [pool.outputs[0] for pool in pools])


def _pools_positions(path: Path) -> bool:
    """Whether the coefficients that are pooled together are those of a position."""
    pool, across = path.pool, path.grid.across
    if pool is None or pool.kind != "DEPTHWISE_CONV_2D" or pool.options["padding"] != "VALID":
        return False
    return tuple(pool.inputs[1].shape[1:3]) == (1, across) == tuple(pool.options["strides"])


def _pooled_within(graph: Graph, x: Value, path: Path) -> Value:
    """The pool of ``path`` as a convolution over the channels of a position: the same sums, without taking
    the coefficients apart, and faster than few channels pooled by themselves.
    """
    assert path.pool is not None and x.produced_by is not None
    packed = x.produced_by.inputs[0]
    taps, bias = (np.asarray(value.data) for value in path.pool.inputs[1:])
    channels = taps.shape[3]
    weights = taps[0, 0, :, :, np.newaxis] * np.eye(channels, dtype=np.float32)  # [across, from, to]
    inputs = [packed, constant(weights.reshape(1, 1, -1, channels).transpose(3, 0, 1, 2)), constant(bias)]
    options = {**path.pool.options, "strides": (1, 1)}
    value = graph.op("CONV_2D", inputs, (*packed.shape[:3], channels), **options)
    return _with_range(value, [path.end])


def _with_range(value: Value, like: Sequence[Value]) -> Value:
    value.low, value.high = min(each.low for each in like), max(each.high for each in like)
    return value
