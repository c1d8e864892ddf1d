"""Reads the graph of a .tflite file and verifies it before any interpreter sees a byte of it.

Walks the whole flatbuffer (edge_ser.flatbuffer checks every offset), then asks what an interpreter takes for
granted: indices that exist, constants as long as their shapes, every operand computed before it is used,
allowed operations only (edge_ser.graph_ops), loops that count. Field numbers are those of TFLite's
schema.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from struct import unpack_from
from typing import NamedTuple

from edge_ser.flatbuffer import Flatbuffer, Table
from edge_ser.graph_ops import KINDS, Kind, check_loop, check_operands, check_options, check_scales
from edge_ser.graph_shapes import check_shapes

TYPES = {2: "int32", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
TYPE_BYTES = {"int32": 4, "int64": 8, "bool": 1, "int16": 2, "int8": 1}
MAX_RANK = 5
MAX_TENSOR_BYTES = 32 << 20
MAX_ARENA_BYTES = 128 << 20  # a Pi Zero 2 has 512 MiB
MAX_INDEX_VALUES = 64  # constants up to this length are read as shapes, axes and positions


class Tensor(NamedTuple):
    """``scale`` and ``zero_point`` have one entry, or one for each index of ``axis``; ``values`` of small
    constants.

    For larger constants ``values`` is an empty tuple, for computed tensors None.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int
    values: tuple[int, ...] | None


class Graph(NamedTuple):
    """What the rest of the package needs to know of a graph: its ends and its operations, by name, sorted."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    ops: list[str]


class Operator(NamedTuple):
    """One operation; its operands are indices of its part's tensors (an input of -1 is left out)."""

    table: Table
    kind: Kind
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Part(NamedTuple):
    """A sub-graph, the first being the model and the others bodies of loops."""

    table: Table
    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


def read_graph(data: bytes, name: str) -> Graph:
    """Verify the TFLite flatbuffer ``data``; raises ModelError naming ``name`` and the byte where it is
    wrong.
    """
    buffer = Flatbuffer(data, name)
    model = buffer.root(b"TFL3")
    model.check(model.scalar(0, "I") == 3, "is of an unknown version")
    model.check_string(3)
    codes = [_code(table) for table in model.tables(1, "operator code")]
    buffers = [_buffer(table) for table in model.tables(4, "buffer")]
    model.check(
        not model.integers(5) or max(model.integers(5)) < len(buffers), "has metadata without a buffer"
    )
    for entry in model.tables(6, "metadata"):
        entry.check_string(0)
        entry.check(entry.scalar(1, "I") < len(buffers), "has no buffer")
    parts = [_part(table, data, buffers, codes) for table in model.tables(2, "sub-graph")]
    model.check(len(parts) > 0, "has no sub-graph")
    model.check(not model.has(8) and not model.has(9), "keeps weights outside of the file")
    arena = sum(_size(t) for part in parts for t in part.tensors if t.values is None)
    model.check(arena <= MAX_ARENA_BYTES, f"needs {arena >> 20} MiB of working memory")
    used: set[str] = set()
    for index in reversed(range(len(parts))):  # bodies come after their loops and must be sound before them
        used |= _check_operators(parts, index)
    for signature in model.tables(7, "signature"):
        _check_signature(signature, parts)
    ends = parts[0]
    return Graph(
        [ends.tensors[i] for i in ends.inputs], [ends.tensors[i] for i in ends.outputs], sorted(used)
    )


def _code(table: Table) -> int:
    code = max(table.scalar(0, "b"), table.scalar(3, "i"))
    table.check(code in KINDS, f"is the operation {code}, which is not on the list of allowed ones")
    table.check(not table.has(1), "is a custom operation")
    table.check(1 <= table.scalar(2, "i", 1) <= 99, "has an unknown version")
    return code


def _buffer(table: Table) -> tuple[int, int]:
    table.check(table.scalar(1, "Q") == 0 and table.scalar(2, "Q") == 0, "lies outside of the file")
    return table.vector(0, 1)


def _size(tensor: Tensor) -> int:
    return prod(tensor.shape) * TYPE_BYTES[tensor.dtype]


def _part(table: Table, data: bytes, buffers: Sequence[tuple[int, int]], codes: Sequence[int]) -> Part:
    tensors = [_tensor(entry, data, buffers) for entry in table.tables(0, "tensor")]
    inputs, outputs = table.integers(1), table.integers(2)
    table.check_string(4)
    for index in inputs + outputs:
        table.check(0 <= index < len(tensors), f"has no tensor {index}")
    table.check(len(set(inputs)) == len(inputs) and len(outputs) > 0, "has odd inputs or outputs")
    operators = [_operator(entry, codes) for entry in table.tables(3, "operator")]
    return Part(table, tensors, inputs, outputs, operators)


def _operator(op: Table, codes: Sequence[int]) -> Operator:
    opcode = op.scalar(0, "I")
    op.check(opcode < len(codes), f"has no operation {opcode}")
    kind = KINDS[codes[opcode]]
    op.path += f" ({kind.name})"
    inputs, outputs = op.integers(1), op.integers(2)
    op.check(kind.inputs[0] <= len(inputs) <= kind.inputs[1], f"has {len(inputs)} inputs")
    op.check(kind.outputs[0] <= len(outputs) <= kind.outputs[1], f"has {len(outputs)} outputs")
    custom = op.has(5) or op.scalar(9, "Q") or op.scalar(11, "B") or op.has(12)
    op.check(not custom and op.vector(7, 1)[1] == op.vector(8, 4)[1] == 0, "has custom parts")
    op.check(op.scalar(3, "B") in (0, kind.options), "has the options of another operation")
    return Operator(op, kind, inputs, outputs)


def _tensor(table: Table, data: bytes, buffers: Sequence[tuple[int, int]]) -> Tensor:
    shape, signature = table.integers(0), table.integers(7)
    kind = table.scalar(1, "b")
    table.check(kind in TYPES, f"has the type {kind}, which a full-integer graph does not use")
    sane = len(shape) <= MAX_RANK and all(0 < n <= MAX_TENSOR_BYTES for n in shape)
    table.check(sane, f"has the shape {shape}")
    dtype = TYPES[kind]
    n_bytes = prod(shape) * TYPE_BYTES[dtype]
    table.check(n_bytes <= MAX_TENSOR_BYTES, f"needs {n_bytes >> 20} MiB")
    fixed = not signature or len(signature) == len(shape)
    fixed = fixed and all(given in (-1, n) for given, n in zip(signature, shape, strict=False))
    table.check(fixed, "has another shape in its signature")
    plain = not (table.scalar(5, "B") or any(table.has(field) for field in (6, 9, 10)))
    table.check(plain, "is variable, sparse or external")
    table.check_string(3)
    place = table.scalar(2, "I")
    table.check(place < len(buffers), f"has no buffer {place}")
    start, length = buffers[place]
    values: tuple[int, ...] | None = None
    if length:
        table.check(length == n_bytes, f"holds {length} bytes where its shape {shape} needs {n_bytes}")
        table.check(start % TYPE_BYTES[dtype] == 0, "has data that are not aligned")
        short = dtype in ("int32", "int64") and prod(shape) <= MAX_INDEX_VALUES
        layout = f"<{prod(shape)}{'i' if dtype == 'int32' else 'q'}"
        values = unpack_from(layout, data, start) if short else ()
    return Tensor(shape, dtype, *_quantisation(table, shape, dtype, values is not None), values)


def _quantisation(
    table: Table, shape: tuple[int, ...], dtype: str, constant: bool
) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    entry = table.table(4, f"{table.path}'s quantisation")
    needed = dtype in ("int8", "int16")
    if entry is None:
        table.check(not needed, f"is {dtype} without a scale")
        return (), (), 0
    entry.numbers(0, "f"), entry.numbers(1, "f")
    scale, zero_point, axis = entry.numbers(2, "f"), entry.integers(3, "q"), entry.scalar(6, "i")
    entry.check(entry.scalar(4, "B") == 0, "has custom details")
    entry.check(
        all(isfinite(value) and value > 0 for value in scale), "has a scale that is no positive number"
    )
    entry.check(len(zero_point) == len(scale) and (len(scale) > 0 or not needed), "has no scale")
    limit = 1 << (8 * TYPE_BYTES[dtype] - 1)
    entry.check(all(-limit <= value < limit for value in zero_point), "has a zero point out of range")
    per_axis = len(scale) > 1
    entry.check(0 <= axis < max(len(shape), 1), "is along an axis that is not there")
    entry.check(not per_axis or (constant and len(scale) == shape[axis]), "has a wrong number of scales")
    return scale, zero_point, axis


def _check_operators(parts: Sequence[Part], index: int) -> set[str]:
    """Walk a sub-graph in the order of computation; the names of its operations."""
    part = parts[index]
    ready = {i for i, tensor in enumerate(part.tensors) if tensor.values is not None}
    part.table.check(not ready & set(part.inputs), "has a constant input")
    ready |= set(part.inputs)
    for operator in part.operators:
        op = operator.table
        for i in operator.inputs:
            op.check(i == -1 or i in ready, f"uses tensor {i}, which is not computed before")
        for i in operator.outputs:
            op.check(0 <= i < len(part.tensors) and i not in ready, f"writes tensor {i}, which is not free")
            ready.add(i)
        inputs = [part.tensors[i] if i >= 0 else None for i in operator.inputs]
        outputs = [part.tensors[i] for i in operator.outputs]
        options = op.table(4, f"{op.path}'s options") if op.scalar(3, "B") else None
        check_options(operator.kind.name, op, options, len(outputs))
        check_operands(operator.kind.name, op, inputs)
        given = [tensor for tensor in inputs if tensor is not None]
        check_shapes(operator.kind.name, op, options, given, outputs)
        check_scales(operator.kind.name, op, given, outputs)
        if operator.kind.name == "WHILE" and options is not None:
            bodies = options.scalar(0, "i"), options.scalar(1, "i")
            op.check(all(index < body < len(parts) for body in bodies), "has no body")
            check_loop(op, [*inputs, *outputs], parts[bodies[0]], parts[bodies[1]])
    part.table.check(set(part.outputs) <= ready, "has an output that nothing computes")
    return {operator.kind.name for operator in part.operators}


def _check_signature(signature: Table, parts: Sequence[Part]) -> None:
    signature.check_string(2)
    place = signature.scalar(4, "I")
    signature.check(place < len(parts), f"names sub-graph {place}, which is not there")
    for field in (0, 1):
        for entry in signature.tables(field, "signature entry"):
            entry.check_string(0)
            entry.check(entry.has(0) and entry.scalar(1, "I") < len(parts[place].tensors), "names no tensor")
