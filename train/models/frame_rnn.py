"""Recurrent layers over a short run of frames, many to one, then a fully-connected layer (recipe
emodb-rnn).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import keras
from keras import layers

from train.models import Shape
from train.models.layers import finish

KIND = "rnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """``cell`` and how many units in how many layers; ``dense`` units follow the last step."""

    cell: Literal["lstm", "gru"] = "lstm"
    units: int = 64
    layers: int = 1
    dense: int = 256
    dropout: float = 0.5


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes] from the state after the last frame."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    x = inputs
    for number in range(1, options.layers + 1):
        sequences = number < options.layers
        if options.cell == "lstm":
            cell = layers.LSTM(options.units, return_sequences=sequences, name=f"lstm_{number}")
        else:
            cell = layers.GRU(
                options.units, return_sequences=sequences, reset_after=False, name=f"gru_{number}"
            )
        x = cell(x)
    x = layers.Dense(options.dense, activation="relu", name="dense")(x)
    x = layers.Dropout(options.dropout)(x)
    return finish(inputs, x, shape, "frame_rnn")
