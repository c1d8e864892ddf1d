"""A 1-D CNN on spectrograms: bands are channels, convolutions run over time only (recipe savee-
spectrogram).
"""

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
    """One block of convolution, normalisation, ReLU and maximum of two per width; then ``dense`` units."""

    widths: list[int] = field(default_factory=lambda: [64, 64, 96, 96])
    kernel: int = 5
    dense: int = 64
    dropout: float = 0.3


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = inputs
    for width in options.widths:
        x = layers.Conv1D(width, options.kernel, padding="same", use_bias=False)(x)
        x = normalised(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling1D(2)(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(options.dense, activation="relu")(x)
    x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "spectrogram_cnn1d")
