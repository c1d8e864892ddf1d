"""A compact 2-D CNN for a fixed window, after the shape of Light-SERNet (Aftab et al., ICASSP 2022).

Three parallel convolutions look at frequency (9 bands), time (11 frames) and both (3 × 3); what they see is
joined and goes through four 3 × 3 blocks and a 1 × 1 block to a global mean. Against the paper: narrower, and
the first convolutions step over two frames or four, which saves most of the work for 16 ms hops.

With ``loudest_frames`` a linear classifier on statistics of the window answers beside the convolutions, each
learns by itself (heads ``convolutions`` and ``statistics``), and the emotion is the sum of their logits: the
two fail on different strangers (docs/experiments.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from edge_ser.errors import ConfigError
from train.models import BRANCHES, Shape
from train.models.layers import NORM_MOMENTUM, LoudestFrames, finish, normalised

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
    excess: bool = False  # beside the mean over time, the mean of what lies above it
    loudest_frames: int = 0  # whose statistics answer too; 0: none do
    statistics_l2: float = 0.05


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
    """[batch, frames, features, 1] -> [batch, head], twice as wide with ``excess``."""
    strides = (options.time_stride, 1)
    paths = [_block(plane, options.stem, tuple(kernel), options, strides) for kernel in options.stem_kernels]
    x = layers.Concatenate()([layers.AveragePooling2D(tuple(options.stem_pool))(path) for path in paths])
    for width, pool in zip(options.widths, options.pools, strict=True):
        x = _block(x, width, (3, 3), options)
        x = layers.AveragePooling2D(tuple(pool))(x)
    x = _block(x, options.head, (1, 1), options)
    seen = layers.GlobalAveragePooling2D()(x)
    if options.excess:
        steps = layers.AveragePooling2D((1, x.shape[2]))(x)
        excess = layers.ReLU()(layers.Subtract()([steps, layers.AveragePooling2D((x.shape[1], 1))(steps)]))
        seen = layers.Concatenate()([seen, layers.GlobalAveragePooling2D()(excess)])
    return layers.Dropout(options.dropout)(seen)


def statistics(features: Any, shape: Shape, options: Options) -> Any:
    """[batch, frames, features] -> [batch, 3 · features]: of the loudest frames mean and mean excess over it,
    of all frames the mean rise from one to the next. Pauses differ from corpus to corpus, loud frames less.
    """
    count = options.loudest_frames
    loud = layers.Reshape((count, 1, shape.features))(LoudestFrames(count)(features))
    every = layers.Reshape((shape.frames, 1, shape.features))(features)
    excess = layers.ReLU()(layers.Subtract()([loud, layers.AveragePooling2D((count, 1))(loud)]))
    before, after = (layers.Cropping2D((rows, (0, 0)))(every) for rows in ((0, 1), (1, 0)))
    rise = layers.ReLU()(layers.Subtract()([after, before]))
    means = [layers.AveragePooling2D((plane.shape[1], 1))(plane) for plane in (loud, excess, rise)]
    # Without factors of its own, which would get round the penalty on the weights behind it.
    return layers.Flatten()(layers.Concatenate()([normalised(mean, free=False) for mean in means]))


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    plane = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    seen = embedding(plane, options)
    if not options.loudest_frames:
        return finish(inputs, seen, shape, "light_cnn")
    missing = [head for head in BRANCHES if head not in shape.heads]
    if missing:
        raise ConfigError(f"loudest_frames needs model.heads.{missing[0]}, the weight of its loss")
    if shape.frames is None or options.loudest_frames > shape.frames:
        raise ConfigError(
            f"loudest_frames is {options.loudest_frames}, and a window has {shape.frames} frames"
        )
    regularizer = keras.regularizers.L2(options.statistics_l2)
    counted = statistics(inputs, shape, options)
    answers = {
        "convolutions": layers.Dense(shape.classes, name="convolutions")(seen),
        "statistics": layers.Dense(
            shape.classes, kernel_initializer="zeros", kernel_regularizer=regularizer, name="statistics"
        )(counted),
    }
    emotion = layers.Add(name="emotion")([keras.ops.stop_gradient(answers[head]) for head in BRANCHES])
    others = {
        head: layers.Dense(width, name=head)(seen)
        for head, width in shape.heads.items()
        if head not in BRANCHES
    }
    return keras.Model(inputs, {"emotion": emotion, **answers, **others}, name="light_cnn")
