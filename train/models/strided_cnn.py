"""A compact 2-D CNN on long cepstra for a fixed window: convolutions that stride, no pooling before the end.

Three parallel convolutions, tall in time, wide in quefrency and square, step over frames and coefficients at
once, so that all later layers work on an eighth of the plane. The wide one spans nine coefficients: the bump
that a voice's pitch leaves at high quefrencies moves through it as the pitch moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import Shape
from train.models.layers import finish

KIND = "cnn"
FORM = "window"
KERNELS = ((11, 1), (3, 9), (5, 5))  # [frames, coefficients]


@dataclass(frozen=True)
class Options:
    """Widths in channels; ``steps`` holds one [time, quefrency] stride per convolution of ``widths``."""

    stem: int = 16
    stem_step: list[int] = field(default_factory=lambda: [4, 2])
    widths: list[int] = field(default_factory=lambda: [48, 64, 80])
    steps: list[list[int]] = field(default_factory=lambda: [[2, 2], [2, 2], [1, 1]])
    head: int = 160
    dropout: float = 0.3


def _normed(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(x))


def embedding(plane: Any, options: Options) -> Any:
    """[batch, frames, features, 1] -> [batch, head]."""
    paths = [
        _normed(layers.Conv2D(options.stem, kernel, tuple(options.stem_step), "same", use_bias=False)(plane))
        for kernel in KERNELS
    ]
    x = layers.Concatenate()(paths)
    for width, step in zip(options.widths, options.steps, strict=True):
        x = _normed(layers.Conv2D(width, 3, tuple(step), "same", use_bias=False)(x))
    x = _normed(layers.Conv2D(options.head, 1, use_bias=False)(x))
    return layers.Dropout(options.dropout)(layers.GlobalAveragePooling2D()(x))


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    plane = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    return finish(inputs, embedding(plane, options), shape, "strided_cnn")
