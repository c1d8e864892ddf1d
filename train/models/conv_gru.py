"""A recurrent network behind causal 2-D convolutions: it streams, and sees pitch move as the CNN does.

The convolutions stride over frames and coefficients and are padded at the front of time only, so in step form
the few frames before a chunk are a state (a ring) and nothing is computed twice. Sixteen frames are one step.

Layers, for the rewrite as a step: "pad_*" (zeros before the first frame), "conv_*", "norm_*", "bands" (mean
over quefrency), "gru", "emotion_steps" (Dense, logits of each step), "emotion" (their mean over the steps).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import Shape
from train.models.layers import FrameMask, MaskedMean

KIND = "gru"
FORM = "step"
KERNELS = ((12, 1), (4, 9), (8, 5))  # [frames, coefficients]
STEM_STEP = (4, 2)


@dataclass(frozen=True)
class Options:
    """Widths in channels; the first ``halve`` convolutions of ``widths`` halve time and quefrency."""

    stem: int = 12
    widths: list[int] = field(default_factory=lambda: [32, 40, 48])
    halve: int = 2
    units: int = 48
    dropout: float = 0.3

    @property
    def chunk_frames(self) -> int:
        """Frames of one step."""
        return int(STEM_STEP[0] * 2**self.halve)


def _causal(x: Any, width: int, kernel: tuple[int, int], step: tuple[int, int], name: str) -> Any:
    """A convolution whose output sees no frame behind its own stride's last."""
    side = (kernel[1] - step[1] + 1) // 2
    sides = (max(kernel[1] - step[1] - side, 0), side) if kernel[1] > 1 else (0, 0)
    front = kernel[0] - step[0]
    if front or any(sides):
        x = layers.ZeroPadding2D(((front, 0), sides), name=f"pad_{name}")(x)
    x = layers.Conv2D(width, kernel, step, "valid", use_bias=False, name=f"conv_{name}")(x)
    x = layers.BatchNormalization(name=f"norm_{name}")(x)
    return layers.ReLU(name=f"relu_{name}")(x)


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features], zero rows being padding at the end -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    mask = FrameMask(options.chunk_frames, name="mask")(inputs)
    plane = layers.Reshape((-1, shape.features, 1), name="plane")(inputs)
    paths = [
        _causal(plane, options.stem, kernel, STEM_STEP, f"stem_{number}")
        for number, kernel in enumerate(KERNELS, start=1)
    ]
    x = layers.Concatenate(name="stem")(paths)
    for number, width in enumerate(options.widths, start=1):
        step = (2, 2) if number <= options.halve else (1, 1)
        x = _causal(x, width, (3, 3), step, str(number))
    x = layers.AveragePooling2D((1, int(x.shape[2])), name="bands")(x)
    x = layers.Reshape((-1, options.widths[-1]), name="steps")(x)
    x = layers.Dropout(options.dropout)(x)
    x = layers.GRU(options.units, return_sequences=True, reset_after=False, name="gru")(x, mask=mask)
    x = layers.Dropout(options.dropout)(x)
    steps = layers.Dense(shape.classes, name="emotion_steps")(x)
    return keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask), name="conv_gru")
