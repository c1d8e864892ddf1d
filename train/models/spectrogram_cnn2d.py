"""A 2-D CNN on spectrograms: convolutions over time and frequency alike (recipe savee-spectrogram)."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
from keras import layers

from train.models import Shape
from train.models.layers import finish, normalised

KIND = "cnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """One block of convolution, normalisation, ReLU and 2 × 2 maximum per width; then ``dense`` units."""

    widths: list[int] = field(default_factory=lambda: [16, 32, 48, 64])
    kernel: int = 3
    dense: int = 64
    dropout: float = 0.3


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    for width in options.widths:
        x = layers.Conv2D(width, options.kernel, padding="same", use_bias=False)(x)
        x = normalised(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(options.dense, activation="relu")(x)
    x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "spectrogram_cnn2d")
