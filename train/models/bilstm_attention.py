"""Bidirectional LSTM layers and attention pooling over utterances of any length (recipe iemocap-bilstm-
attention).
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from train.models import Shape
from train.models.layers import AttentionPooling, FrameMask, finish

KIND = "bilstm"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """``units`` per direction in each of ``layers`` layers."""

    units: int = 64
    layers: int = 2
    dropout: float = 0.2


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features], zero rows being padding -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    mask = FrameMask(name="mask")(inputs)
    x = inputs
    for number in range(1, options.layers + 1):
        lstm = layers.LSTM(options.units, return_sequences=True)
        x = layers.Bidirectional(lstm, name=f"bilstm_{number}")(x, mask=mask)
        x = layers.Dropout(options.dropout)(x)
    x = AttentionPooling(name="attention")(x, mask=mask)
    return finish(inputs, x, shape, "bilstm_attention")
