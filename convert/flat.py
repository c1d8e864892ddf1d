"""Writes TFLite flatbuffers: sub-graphs of tensors and built-in operations, as small as the format allows.

Equal constants are stored once, and so is every other equal vector or table (a flatbuffer may point twice at
one): shapes, scales, options, tensors, whole operations where the bodies of loops are alike. Inner tensors
have no names. Constants are aligned to 16 bytes, as the schema's
``force_align`` asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from tensorflow.lite.python import schema_py_generated as schema

FILE_IDENTIFIER = b"TFL3"
INT8, INT16 = int(schema.TensorType.INT8), int(schema.TensorType.INT16)
_TYPES = {
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
    "float32": "FLOAT32",
}

# The first version of each operation that covers the integer types written here; older interpreters refuse
# newer ones.
_VERSIONS = {
    "ADD": 2, "AVERAGE_POOL_2D": 2, "CAST": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 5, "GATHER": 2, "HARD_SWISH": 1, "LESS": 1, "LOGISTIC": 2, "MAX_POOL_2D": 2,
    "MEAN": 2, "MUL": 2, "PAD": 2, "QUANTIZE": 2, "RELU": 2, "RELU6": 2, "RESHAPE": 1, "SLICE": 2,
    "SOFTMAX": 2, "SPLIT": 2, "SUB": 2, "SUM": 2, "TANH": 2, "TOPK_V2": 2, "TRANSPOSE": 2, "WHILE": 1,
}  # fmt: skip


@dataclass
class Subgraph:
    """Tensors are named by their index, as in the file."""

    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)


class Writer:
    """Collects sub-graphs (the first is the model's) and packs them."""

    def __init__(self) -> None:
        self.subgraphs: list[Subgraph] = []
        self._buffers: dict[bytes, int] = {b"": 0}  # buffer 0 is the empty one, by convention
        self._codes: dict[str, int] = {}
        self._tables: dict[tuple[Any, ...], _Once] = {}

    @property
    def kinds(self) -> list[str]:
        """The operations used, in the order of their first use."""
        return list(self._codes)

    def subgraph(self) -> int:
        self.subgraphs.append(Subgraph())
        return len(self.subgraphs) - 1

    def tensor(
        self,
        subgraph: int,
        shape: tuple[int, ...],
        dtype: str,
        scale: npt.ArrayLike | None = None,
        zero_point: int = 0,
        data: npt.NDArray[Any] | None = None,
        axis: int = 0,
        name: str = "",
    ) -> int:
        """``scale`` is one number, or one for each index of ``axis``."""
        tensor = schema.TensorT()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = getattr(schema.TensorType, _TYPES[dtype])
        tensor.name = name or None
        tensor.buffer = 0
        if data is not None:
            little = data.astype(np.dtype(dtype).newbyteorder("<"))
            tensor.buffer = self._buffers.setdefault(little.tobytes(), len(self._buffers))
        if scale is not None:
            tensor.quantization = self._quantisation(
                np.atleast_1d(np.asarray(scale, np.float32)), zero_point, axis
            )
        once = self._once(tensor, shape, dtype, name, tensor.buffer, id(tensor.quantization))
        self.subgraphs[subgraph].tensors.append(once)
        return len(self.subgraphs[subgraph].tensors) - 1

    def op(self, subgraph: int, kind: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """``options`` are the fields of the schema's options table of this operation, by name."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(kind, len(self._codes))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        table = _OPTIONS.get(kind)
        if table is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            filled = getattr(schema, table + "T")()
            for key, value in options.items():
                if not hasattr(filled, key):
                    raise KeyError(f"{table} has no field {key!r}")
                setattr(filled, key, value)
            operator.builtinOptions = self._once(filled, f"{table} {sorted(vars(filled).items())}")
        once = self._once(operator, kind, *inputs, "to", *outputs, id(operator.builtinOptions))
        self.subgraphs[subgraph].operators.append(once)

    def pack(self, description: str) -> bytes:
        model = schema.ModelT()
        model.version = 3
        model.description = description
        model.operatorCodes = [_operator_code(kind) for kind in self._codes]
        model.buffers = []
        for data in self._buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8) if data else None
            model.buffers.append(buffer)
        model.subgraphs = []
        for part in self.subgraphs:
            table = schema.SubGraphT()
            table.inputs, table.outputs = np.array(part.inputs, np.int32), np.array(part.outputs, np.int32)
            table.tensors, table.operators = part.tensors, part.operators
            model.subgraphs.append(table)
        builder = _Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _quantisation(self, scale: npt.NDArray[np.float32], zero_point: int, axis: int) -> _Once:
        zero = np.full(len(scale), zero_point, np.int64)
        table = schema.QuantizationParametersT()
        table.scale, table.zeroPoint, table.quantizedDimension = scale, zero, axis
        return self._once(table, scale.tobytes(), zero_point, axis)

    def _once(self, table: Any, *content: Any) -> _Once:
        """``table``, or the one of its kind that was written with the same ``content``."""
        return self._tables.setdefault((type(table), *content), _Once(table))


class _Once:
    """A table that packs itself once for each builder, however many others point to it."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def Pack(self, builder: Any) -> int:  # noqa: N802
        packed: dict[int, int] = builder.packed
        if id(self) not in packed:
            packed[id(self)] = self.table.Pack(builder)
        return packed[id(self)]


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Points equal vectors at one copy and aligns the bytes of constants to 16."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.packed: dict[int, int] = {}
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            if x.dtype == np.uint8:
                self.StartVector(1, x.size, 16)
                self.head -= x.size
                self.Bytes[self.head : self.head + x.size] = x.tobytes()
                self._vectors[key] = self.EndVector()
            else:
                self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


def _operator_code(kind: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = _VERSIONS[kind]
    return code


_OPTIONS = {
    "ADD": "AddOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions", "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions", "LESS": "LessOptions", "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions", "MUL": "MulOptions", "PAD": "PadOptions", "QUANTIZE": "QuantizeOptions",
    "RESHAPE": "ReshapeOptions", "SLICE": "SliceOptions", "SOFTMAX": "SoftmaxOptions",
    "SPLIT": "SplitOptions", "SUB": "SubOptions", "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options", "TRANSPOSE": "TransposeOptions", "WHILE": "WhileOptions",
}  # fmt: skip
