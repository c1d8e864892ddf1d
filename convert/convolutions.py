"""Keras convolutions and poolings to the float graph; in step form only those that see no frame to come."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np

from convert.ir import Value, constant
from convert.layers import Walk
from edge_ser.errors import ModelError

LONG_MEAN = 16  # frames, from which on a mean is taken in two steps


def _conv(walk: Walk, layer: Any, x: Value) -> Value:
    """Conv1D, Conv2D: 1-D ones become (kernel, 1) on [1, time, 1, channels]."""
    kernel = np.asarray(layer.kernel, np.float32)
    if layer.groups != 1 or layer.data_format != "channels_last":
        raise ModelError(
            f"layer {layer.name!r}: grouped or channels-first convolutions have no integer form here"
        )
    one_dimensional = kernel.ndim == 3
    size, stride = kernel.shape[0], layer.strides[0]
    bias = np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    if one_dimensional and size == stride and layer.padding != "causal" and x.shape[1] % size == 0:
        steps = x.shape[1] // size  # frames do not overlap: the same numbers as a matrix product, and cheaper
        rows = walk.reshape(x, 1, steps, size * x.shape[2])
        y = walk.full(rows, kernel.reshape(-1, kernel.shape[-1]), bias)
        return walk.activate(y, layer.activation, layer.name)
    filters = kernel[:, np.newaxis] if one_dimensional else kernel
    weights = constant(filters.transpose(3, 0, 1, 2))
    y = _apply(walk, layer, "CONV_2D", x, weights, bias, kernel.shape[-1])
    return walk.activate(y, layer.activation, layer.name)


def _depthwise(walk: Walk, layer: Any, x: Value) -> Value:
    y = _apply_depthwise(walk, layer, x, layer.kernel, layer.bias if layer.use_bias else None)
    return walk.activate(y, layer.activation, layer.name)


def _separable(walk: Walk, layer: Any, x: Value) -> Value:
    y = _apply_depthwise(walk, layer, x, layer.depthwise_kernel, None)
    pointwise = np.asarray(layer.pointwise_kernel, np.float32)
    y = walk.full(y, pointwise.reshape(pointwise.shape[-2:]), layer.bias if layer.use_bias else None)
    return walk.activate(y, layer.activation, layer.name)


def _apply_depthwise(walk: Walk, layer: Any, x: Value, kernel: Any, bias: Any) -> Value:
    array = np.asarray(kernel, np.float32)
    array = array[:, np.newaxis] if array.ndim == 3 else array  # [height, width, channels, multiplier]
    channels = array.shape[2] * array.shape[3]
    weights = constant(array.reshape(1, *array.shape[:2], channels))
    term = np.zeros(channels, np.float32) if bias is None else np.asarray(bias, np.float32)
    return _apply(walk, layer, "DEPTHWISE_CONV_2D", x, weights, term, channels)


def _apply(walk: Walk, layer: Any, kind: str, x: Value, weights: Value, bias: Any, channels: int) -> Value:
    """One convolution with Keras's padding and, in step form, the frames before the chunk."""
    one_dimensional = len(x.shape) == 3
    height, width = weights.shape[1], weights.shape[2]
    strides = (layer.strides[0], 1) if one_dimensional else tuple(layer.strides)
    dilation = (layer.dilation_rate[0], 1) if one_dimensional else tuple(layer.dilation_rate)
    reach = (height - 1) * dilation[0]
    padding = layer.padding.upper()
    if padding == "CAUSAL":
        x, padding = pad_front(walk, x, reach), "VALID"
    n_frames = x.shape[1]
    if walk.step:
        padding = _check_step(walk, layer, x, reach, strides[0], padding)
    image = walk.reshape(x, 1, n_frames, 1, x.shape[2]) if one_dimensional else x
    if padding == "SAME" and walk.step:
        image, padding = _pad_width(walk, image, width, strides[1], dilation[1]), "VALID"
    if padding == "SAME" and dilation == (1, 1):
        weights = _cover_strides(weights, image, strides)
        height, width = weights.shape[1], weights.shape[2]
    out = (
        _length(image.shape[1], height, strides[0], dilation[0], padding),
        _length(image.shape[2], width, strides[1], dilation[1], padding),
    )
    options = {"strides": strides, "dilation": dilation, "padding": padding}
    y = walk.graph.op(kind, [image, weights, constant(bias)], (1, *out, channels), **options)
    return walk.reshape(y, 1, out[0], channels) if one_dimensional else y


def _check_step(walk: Walk, layer: Any, x: Value, reach: int, stride: int, padding: str) -> str:
    """Refuses a convolution over time that a chunk cannot compute; "SAME" may remain for the width."""
    if padding == "SAME" and reach:
        raise ModelError(
            f"layer {layer.name!r}: padding 'same' over time looks ahead and has no step form; pad the "
            f"front (causal)"
        )
    ring = walk.rings.get(x, 0)
    fresh = x.shape[1] - ring
    if fresh % stride:
        raise ModelError(f"layer {layer.name!r}: stride {stride} does not divide the chunk of {fresh} frames")
    if (x.shape[1] - reach - 1) // stride + 1 != fresh // stride:
        raise ModelError(
            f"layer {layer.name!r}: needs {reach + 1 - stride} frames of the past and has {ring}; pad the "
            f"front by them"
        )
    return padding


def _cover_strides(weights: Value, x: Value, strides: tuple[int, ...]) -> Value:
    """The same filters, with zeros behind them along an axis where strides would leave input unseen at the
    end.

    There TensorFlow's "SAME" pads nothing, but XNNPACK before LiteRT 2.2 takes the padding to be below zero
    and computes garbage (a (1, 9) filter with strides (2, 1), for one).
    """
    lengths = zip(x.shape[1:3], weights.shape[1:3], strides, strict=True)
    grow = [
        max(0, n - (_length(n, size, stride, 1, "SAME") - 1) * stride - size) for n, size, stride in lengths
    ]
    if not any(grow):
        return weights
    return constant(np.pad(np.asarray(weights.data), ((0, 0), (0, grow[0]), (0, grow[1]), (0, 0))))


def _pad_width(walk: Walk, x: Value, width: int, stride: int, dilation: int) -> Value:
    total = max((-(-x.shape[2] // stride) - 1) * stride + (width - 1) * dilation + 1 - x.shape[2], 0)
    if not total:
        return x
    pads = [[0, 0], [0, 0], [total // 2, total - total // 2], [0, 0]]
    return walk.graph.op("PAD", [x], (*x.shape[:2], x.shape[2] + total, x.shape[3]), pads=pads)


def pad_front(walk: Walk, x: Value, frames: int) -> Value:
    """``frames`` zeros before x in time; in step form the frames that really came before."""
    if not frames:
        return x
    if walk.step:
        joined = walk.ring(x, frames)
        walk.rings[joined] = frames
        return joined
    pads = [[0, 0], [frames, 0], *([0, 0] for _ in x.shape[2:])]
    return walk.graph.op("PAD", [x], (1, x.shape[1] + frames, *x.shape[2:]), pads=pads)


def _zero_padding(walk: Walk, layer: Any, x: Value) -> Value:
    sides = [layer.padding] if len(x.shape) == 3 else list(layer.padding)
    (front, back), others = sides[0], sides[1:]
    if walk.step and back:
        raise ModelError(
            f"layer {layer.name!r}: zeros after the last frame have no step form; pad the front only"
        )
    if walk.step:
        x, front = pad_front(walk, x, front), 0
        ring = walk.rings.get(x, 0)
    pads = [[0, 0], [front, back], *([int(a), int(b)] for a, b in others), *([[0, 0]])]
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True))
    if shape == x.shape:
        return x
    padded = walk.graph.op("PAD", [x], shape, pads=pads)
    if walk.step:
        walk.rings[padded] = ring
    return padded


def _cropping(walk: Walk, layer: Any, x: Value) -> Value:
    (top, bottom), (left, right) = layer.cropping
    if walk.step and (top or bottom):
        raise ModelError(f"layer {layer.name!r}: cutting frames off has no step form; crop the width only")
    shape = (1, x.shape[1] - top - bottom, x.shape[2] - left - right, x.shape[3])
    return walk.graph.op("SLICE", [x], shape, begin=[0, top, left, 0], size=list(shape))


def _pool(kind: str) -> Any:
    def pool(walk: Walk, layer: Any, x: Value) -> Value:
        one_dimensional = len(x.shape) == 3
        size = (layer.pool_size[0], 1) if one_dimensional else tuple(layer.pool_size)
        strides = (layer.strides[0], 1) if one_dimensional else tuple(layer.strides)
        padding = layer.padding.upper()
        if walk.step and (size[0] != strides[0] or x.shape[1] % size[0] or padding == "SAME"):
            raise ModelError(
                f"layer {layer.name!r}: pooling over time has a step form only where frames do not overlap, "
                f"the padding is 'valid' and {size[0]} divides the chunk of {x.shape[1]} frames"
            )
        image = walk.reshape(x, 1, x.shape[1], 1, x.shape[2]) if one_dimensional else x
        out = [_length(image.shape[n + 1], size[n], strides[n], 1, padding) for n in (0, 1)]
        if kind == "AVERAGE_POOL_2D" and padding == "VALID":
            y = _mean_filter(walk, image, size, strides, (out[0], out[1]))
        else:
            options = {"size": size, "strides": strides, "padding": padding}
            y = walk.graph.op(kind, [image], (1, *out, image.shape[3]), **options)
        return walk.reshape(y, 1, out[0], y.shape[3]) if one_dimensional else y

    return pool


def _mean_filter(
    walk: Walk, x: Value, size: tuple[int, ...], strides: tuple[int, ...], out: tuple[int, int]
) -> Value:
    """Average pooling as a depthwise convolution with equal weights.

    TFLite's own int8 pooling rounds halves away from zero, and of 2 or 4 codes the mean often is a half: that
    shifts whole layers by up to a quarter step. It also has to keep its input's scale, and XNNPACK does not
    take it. A long mean is one of means: m + n rows of weights in the file instead of m n.
    """
    channels, n = x.shape[3], size[0]
    inner = max(d for d in range(1, isqrt(n) + 1) if n % d == 0)
    if n > LONG_MEAN and inner > 1 and tuple(size) == tuple(strides):
        x = _mean_filter(walk, x, (inner, 1), (inner, 1), (out[0] * n // inner, x.shape[2]))
        size = strides = (n // inner, size[1])
    weights = constant(np.full((1, size[0], size[1], channels), 1.0 / (size[0] * size[1])))
    options = {"strides": strides, "dilation": (1, 1), "padding": "VALID"}
    bias = constant(np.zeros(channels))
    return walk.graph.op("DEPTHWISE_CONV_2D", [x, weights, bias], (1, *out, channels), **options)


def _global_mean(walk: Walk, layer: Any, x: Value, mask: Any = None) -> Value:
    axes = [1] if len(x.shape) == 3 else [1, 2]
    if walk.step:
        walk.pooled = layer.name
    shape = [size for n, size in enumerate(x.shape) if n not in axes]
    mean = walk.graph.op("MEAN", [x], tuple(shape), axes=axes, keep=False)
    if not getattr(layer, "keepdims", False):
        return mean
    # MEAN itself could keep the axes, by a kernel of its own that rounds in another way on ARM than on x86.
    return walk.reshape(mean, *(1 if n in axes else size for n, size in enumerate(x.shape)))


def _attention(walk: Walk, layer: Any, x: Value, mask: Any = None) -> Value:
    """train.models.layers.AttentionPooling: softmax over time of a learnt score, then the weighted mean.

    The weights are small numbers, so the softmax and the products are held in 16 bits.
    """
    if walk.step:
        raise ModelError(f"layer {layer.name!r}: attention over all frames has no step form; train a window")
    g, frames, n = walk.graph, x.shape[1], x.shape[2]
    scores = walk.reshape(walk.full(x, np.asarray(layer.score, np.float32)[:, np.newaxis]), 1, frames)
    wide = g.op("QUANTIZE", [scores], scores.shape)
    weights = g.op("SOFTMAX", [wide], wide.shape)
    column = walk.reshape(weights, 1, frames, 1)
    values = g.op("QUANTIZE", [x], x.shape)
    product = g.op("MUL", [values, column], x.shape)
    mean = g.op("MEAN", [product], (1, n), axes=[1], keep=False)
    for value in (wide, weights, column, values, product, mean):
        value.bits = 16
    narrow = g.op("QUANTIZE", [mean], mean.shape)
    return g.op("MUL", [narrow, constant(np.full(n, frames))], narrow.shape)


def _length(n: int, size: int, stride: int, dilation: int, padding: str) -> int:
    reach = (size - 1) * dilation
    return -(-n // stride) if padding == "SAME" else (n - reach - 1) // stride + 1


HANDLERS: dict[str, Callable[..., Any]] = {
    "Conv1D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "MaxPooling1D": _pool("MAX_POOL_2D"),
    "MaxPooling2D": _pool("MAX_POOL_2D"),
    "AveragePooling1D": _pool("AVERAGE_POOL_2D"),
    "AveragePooling2D": _pool("AVERAGE_POOL_2D"),
    "GlobalAveragePooling1D": _global_mean,
    "GlobalAveragePooling2D": _global_mean,
    "MaskedMean": _global_mean,
    "AttentionPooling": _attention,
}
