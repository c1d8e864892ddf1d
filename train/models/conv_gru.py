"""A recurrent network behind causal 2-D convolutions: it streams, and sees pitch move as the CNN does.

The convolutions are padded at the front of time only and pooled without overlap, so in step form the few
frames before a chunk are a state (a ring) and nothing is computed twice. Sixteen frames are one step. Each
step is judged by what the convolutions see in it and by what the GRU remembers; averaged over the steps, the
first is what the CNN's global mean does.

Blocks may be separable (Howard et al. 2017, MobileNets): each channel by itself, then all of them position
by position, which buys twice the channels for their bytes.

Layers, for the rewrite as a step: "pad_*" (zeros before the first frame), "deep_*" (a channel by itself),
"conv_*", "norm_*", "pool_*", "bands" (mean over quefrency), "gru", "joined" (both), "emotion_steps" (Dense,
logits of each step), "emotion" (their mean).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from train.models import Shape
from train.models.layers import FrameMask, MaskedMean

KIND = "gru"
FORM = "step"
KERNELS = ((12, 1), (4, 9), (4, 3))  # [frames, coefficients]
STRIDE = 4  # frames from one output of the first convolutions to the next


@dataclass(frozen=True)
class Options:
    """Widths in channels; ``pools`` is one [time, quefrency] pair per block of ``widths``. Blocks are
    separable from the ``separable_from``-th on; 0: none.
    """

    stem: int = 10
    widths: list[int] = field(default_factory=lambda: [24, 32, 40])
    pools: list[list[int]] = field(default_factory=lambda: [[2, 2], [2, 2], [1, 2]])
    head: int = 64
    units: int = 32
    dropout: float = 0.3
    separable_from: int = 0

    @property
    def chunk_frames(self) -> int:
        """Frames of one step."""
        return STRIDE * math.prod(pool[0] for pool in self.pools)


def _causal(x: Any, width: int, kernel: tuple[int, int], stride: int, name: str) -> Any:
    """A convolution whose output sees no frame behind its own stride's last."""
    x = _padded(x, kernel, stride, name)
    x = layers.Conv2D(width, kernel, (stride, 1), "valid", use_bias=False, name=f"conv_{name}")(x)
    x = layers.BatchNormalization(name=f"norm_{name}")(x)
    return layers.ReLU(name=f"relu_{name}")(x)


def _padded(x: Any, kernel: tuple[int, int], stride: int, name: str) -> Any:
    front, side = kernel[0] - stride, kernel[1] // 2
    return layers.ZeroPadding2D(((front, 0), (side, side)), name=f"pad_{name}")(x) if front or side else x


def _separable(x: Any, width: int, name: str) -> Any:
    x = layers.DepthwiseConv2D((3, 3), use_bias=False, name=f"deep_{name}")(_padded(x, (3, 3), 1, name))
    x = layers.BatchNormalization(name=f"norm_deep_{name}")(x)
    return _causal(x, width, (1, 1), 1, name)


def build(shape: Shape, options: Options) -> keras.Model:
    """[batch, frames, features], zero rows being padding at the end -> logits [batch, classes]."""
    inputs = keras.Input((shape.frames, shape.features), name="features")
    mask = FrameMask(options.chunk_frames, name="mask")(inputs)
    plane = layers.Reshape((-1, shape.features, 1), name="plane")(inputs)
    paths = [
        layers.AveragePooling2D((1, 2), name=f"pool_stem_{number}")(
            _causal(plane, options.stem, kernel, STRIDE, f"stem_{number}")
        )
        for number, kernel in enumerate(KERNELS, start=1)
    ]
    x = layers.Concatenate(name="stem")(paths)
    for number, (width, pool) in enumerate(zip(options.widths, options.pools, strict=True), start=1):
        if 0 < options.separable_from <= number:
            x = _separable(x, width, str(number))
        else:
            x = _causal(x, width, (3, 3), 1, str(number))
        if max(pool) > 1:
            x = layers.AveragePooling2D(tuple(pool), name=f"pool_{number}")(x)
    x = _causal(x, options.head, (1, 1), 1, "head")
    x = layers.AveragePooling2D((1, int(x.shape[2])), name="bands")(x)
    seen = layers.Reshape((-1, options.head), name="steps")(x)
    x = layers.Dropout(options.dropout)(seen)
    recalled = layers.GRU(options.units, return_sequences=True, reset_after=False, name="gru")(x, mask=mask)
    x = layers.Dropout(options.dropout)(layers.Concatenate(name="joined")([seen, recalled]))
    steps = layers.Dense(shape.classes, name="emotion_steps")(x)
    return keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask), name="conv_gru")
