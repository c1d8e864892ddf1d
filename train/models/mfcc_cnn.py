"""The four-block 2-D CNN of 56,040 parameters on 25 MFCC × 216 frames (recipe mfcc-cnn-56k).

The published system states input, blocks, classes and the number of parameters, not every width. The one
regular network that gives exactly that number for 8 classes: four blocks of 32 filters 3 × 3 (with bias),
batch normalisation, ReLU, 2 × 2 maximum and dropout; a dense layer of 64 with batch normalisation; the
logits. Counted:

    blocks   320 + 3 · 9,248 + 4 · 128   = 28,576
    dense    13 · 1 · 32 · 64 + 64 + 256 = 26,944      (25 × 216 halved four times leaves 1 × 13)
    logits   64 · 8 + 8                  =    520      sum 56,040
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from train.models import Shape
from train.models.layers import finish, normalised

KIND = "cnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """The defaults are the published network."""

    width: int = 32
    blocks: int = 4
    dense: int = 64
    dropout: float = 0.2


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    for _ in range(options.blocks):
        x = layers.Conv2D(options.width, 3, padding="same")(x)
        x = normalised(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(options.dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(options.dense)(x)
    x = layers.Dropout(options.dropout)(x)
    x = normalised(x)
    x = layers.ReLU()(x)
    x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "mfcc_cnn")
