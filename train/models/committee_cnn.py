"""Two small CNNs that err differently, side by side in one graph, their logits averaged.

The first is shaped like light_cnn and sees the lower cepstra only: the envelope of the spectrum, and the
pitch of high voices. The second is shaped like strided_cnn and sees them all. The heads "member_1" and
"member_2" give each a loss of its own; without, one learns to lean on the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import MEMBERS, Shape, light_cnn, strided_cnn

KIND = "cnn"
FORM = "window"


@dataclass(frozen=True)
class Options:
    """``lower`` cepstra for the first member; widths in channels."""

    lower: int = 40
    light_stem: int = 10
    light_widths: list[int] = field(default_factory=lambda: [24, 32, 40, 52])
    light_head: int = 88
    strided_stem: int = 8
    strided_widths: list[int] = field(default_factory=lambda: [32, 40, 44])
    strided_head: int = 96
    dropout: float = 0.25


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features] -> logits [batch, classes], and those of each member that has a head."""
    light = light_cnn.Options(
        stem=options.light_stem, widths=options.light_widths, head=options.light_head, dropout=options.dropout
    )
    strided = strided_cnn.Options(
        stem=options.strided_stem,
        widths=options.strided_widths,
        head=options.strided_head,
        dropout=options.dropout,
    )
    inputs = keras.Input((shape.frames, shape.features), name="features")
    plane = layers.Reshape((shape.frames, shape.features, 1))(inputs)
    lower = layers.Cropping2D(((0, 0), (0, shape.features - options.lower)))(plane)
    embeddings = [light_cnn.embedding(lower, light), strided_cnn.embedding(plane, strided)]
    logits: dict[str, Any] = {
        name: layers.Dense(shape.classes, name=name)(each)
        for name, each in zip(MEMBERS, embeddings, strict=True)
    }
    rows = [layers.Reshape((1, shape.classes))(each) for each in logits.values()]
    emotion = layers.GlobalAveragePooling1D(name="emotion")(layers.Concatenate(axis=1)(rows))
    heads = {name: each for name, each in logits.items() if name in shape.heads}
    return keras.Model(inputs, {"emotion": emotion, **heads} if heads else emotion, name="committee_cnn")
