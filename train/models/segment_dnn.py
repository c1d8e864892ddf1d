"""A plain network on a short segment of frames; its posteriors are pooled over the utterance (a baseline).

After Han, Yu & Tashev, Interspeech 2014, where an extreme learning machine reads the pooled posteriors; here
they are averaged, as for every recipe that cuts segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
from keras import layers

from train.models import Shape
from train.models.layers import finish

KIND = "dnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """Fully-connected ReLU layers of these widths."""

    widths: list[int] = field(default_factory=lambda: [256, 256, 256])
    dropout: float = 0.0


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = layers.Flatten()(inputs)
    for width in options.widths:
        x = layers.Dense(width, activation="relu")(x)
        x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "segment_dnn")
