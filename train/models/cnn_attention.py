"""A 2-D CNN on log-mel with attention over time and several heads (recipe logmel-multitask)."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
from keras import layers

from train.models import Shape
from train.models.layers import AttentionPooling, finish, normalised

KIND = "cnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """One 3 × 3 block per width, each halving time and frequency; ``dense`` units before the heads."""

    widths: list[int] = field(default_factory=lambda: [16, 24, 32, 48])
    dense: int = 64
    dropout: float = 0.3


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes] and the further heads."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    for width in options.widths:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = normalised(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.Dense(options.dense, activation="relu")(x)
    x = AttentionPooling(name="attention")(x)
    x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "cnn_attention")
