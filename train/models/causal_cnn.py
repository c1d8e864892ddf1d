"""A streaming CNN: no layer looks at frames to come, so each new chunk of frames costs only itself.

Layers, for the rewrite as a step: "chunk" (Conv1D, kernel and stride ``chunk_frames``), then per block b = 1,
2, … "depthwise_b" (DepthwiseConv1D, causal, ``kernel`` wide, dilated by ``dilations[b-1]``: its state is the
last (kernel - 1) · dilation steps), "pointwise_b" (Conv1D 1 wide), batch normalisation, ReLU, plus the
block's input; "emotion_steps" (Dense, logits of each step) and "emotion" (their mean over the steps of the
utterance).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import Shape
from train.models.layers import FrameMask, MaskedMean, normalised

KIND = "causal_cnn"
FORM = "step"


@dataclass(frozen=True)
class Options:
    """``width`` channels in every block; one block per dilation, in steps."""

    chunk_frames: int = 4
    width: int = 64
    kernel: int = 5
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    dropout: float = 0.2


def _block(x: Any, number: int, dilation: int, options: Options) -> Any:
    y = layers.ZeroPadding1D(((options.kernel - 1) * dilation, 0), name=f"past_{number}")(x)
    y = layers.DepthwiseConv1D(
        options.kernel, dilation_rate=dilation, use_bias=False, name=f"depthwise_{number}"
    )(y)
    y = layers.Conv1D(options.width, 1, use_bias=False, name=f"pointwise_{number}")(y)
    y = normalised(y, f"norm_{number}")
    y = layers.ReLU(name=f"relu_{number}")(y)
    return layers.Add(name=f"add_{number}")([x, layers.Dropout(options.dropout)(y)])


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features], zero rows being padding at the end -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    chunk = options.chunk_frames
    mask = FrameMask(chunk, name="mask")(inputs)
    x = layers.Conv1D(options.width, chunk, strides=chunk, activation="relu", name="chunk")(inputs)
    for number, dilation in enumerate(options.dilations, start=1):
        x = _block(x, number, dilation, options)
    steps = layers.Dense(shape.classes, name="emotion_steps")(x)
    return keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask), name="causal_cnn")
