"""A recurrent network that can run for ever: chunks of frames, GRU layers, a decision per chunk, their mean.

Layers, for the rewrite as a step: "chunk" (Conv1D whose kernel and stride are both ``chunk_frames``, so each
step sees its own frames only) with ReLU, "gru_1" … (``reset_after=False``, which one fully-connected layer on
[x, h] can hold), "emotion_steps" (Dense, logits of each step), "emotion" (their mean over the steps of the
utterance).
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from train.models import Shape
from train.models.layers import FrameMask, MaskedMean

KIND = "gru"
FORM = "step"


@dataclass(frozen=True)
class Options:
    """``chunk_frames`` frames are one step; ``chunk_units`` is the width of the layer that reads them."""

    chunk_frames: int = 4
    chunk_units: int = 64
    units: int = 64
    layers: int = 1
    dropout: float = 0.2


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features], zero rows being padding -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    chunk = options.chunk_frames
    mask = FrameMask(chunk, name="mask")(inputs)
    x = layers.Conv1D(options.chunk_units, chunk, strides=chunk, activation="relu", name="chunk")(inputs)
    x = layers.Dropout(options.dropout)(x)
    for number in range(1, options.layers + 1):
        gru = layers.GRU(options.units, return_sequences=True, reset_after=False, name=f"gru_{number}")
        x = layers.Dropout(options.dropout)(gru(x, mask=mask))
    steps = layers.Dense(shape.classes, name="emotion_steps")(x)
    return keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask), name="gru")
