"""A compact 2-D CNN for a fixed window, after the shape of Light-SERNet (Aftab et al., ICASSP 2022).

Three parallel convolutions look at frequency (9 bands), time (11 frames) and both (3 × 3); what they see is
joined and goes through four 3 × 3 blocks and a 1 × 1 block to a global mean. Against the paper: narrower, and
the first convolutions step over two frames or four, which saves most of the work for 16 ms hops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import Shape
from train.models.layers import NORM_MOMENTUM, finish, normalised

KIND = "cnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """Widths in channels; pools and kernels are [time, frequency], ``pools`` one per block of ``widths``."""

    stem: int = 14
    stem_kernels: list[list[int]] = field(default_factory=lambda: [[11, 1], [1, 9], [3, 3]])
    stem_pool: list[int] = field(default_factory=lambda: [2, 2])
    widths: list[int] = field(default_factory=lambda: [28, 40, 48, 60])
    pools: list[list[int]] = field(default_factory=lambda: [[2, 2], [2, 2], [2, 1], [2, 1]])
    head: int = 120
    time_stride: int = 2
    dropout: float = 0.3
    l2: float = 0.0
    norm_momentum: float = NORM_MOMENTUM


def _block(
    x: Any, width: int, kernel: tuple[int, ...], options: Options, strides: tuple[int, int] = (1, 1)
) -> Any:
    regularizer = keras.regularizers.L2(options.l2) if options.l2 else None
    x = layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=False, kernel_regularizer=regularizer
    )(x)
    x = normalised(x, momentum=options.norm_momentum)
    return layers.ReLU()(x)


def embedding(plane: Any, options: Options) -> Any:
    """[batch, frames, features, 1] -> [batch, head]."""
    strides = (options.time_stride, 1)
    paths = [_block(plane, options.stem, tuple(kernel), options, strides) for kernel in options.stem_kernels]
    x = layers.Concatenate()([layers.AveragePooling2D(tuple(options.stem_pool))(path) for path in paths])
    for width, pool in zip(options.widths, options.pools, strict=True):
        x = _block(x, width, (3, 3), options)
        x = layers.AveragePooling2D(tuple(pool))(x)
    x = _block(x, options.head, (1, 1), options)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(options.dropout)(x)


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    plane = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    return finish(inputs, embedding(plane, options), shape, "light_cnn")
