"""Keras layers that the architectures share: masks from padding, pooling over time, the output heads."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from train.models import Shape

PACKAGE = "edge_ser"

# Keras's own 0.99 needs some 500 steps to forget where it began, which is more than a small corpus gives.
NORM_MOMENTUM = 0.95


def normalised(x: Any, name: str | None = None, momentum: float = NORM_MOMENTUM, free: bool = True) -> Any:
    """Batch normalisation as all architectures here use it; ``free``: with learnt factor and term."""
    return keras.layers.BatchNormalization(momentum=momentum, center=free, scale=free, name=name)(x)


@keras.saving.register_keras_serializable(PACKAGE)
class FrameMask(keras.layers.Layer):
    """Features [batch, frames, features] -> bool [batch, frames // stride]: True up to the last whole step.

    Padding is zero in every feature from some frame to the end; zeros in between (masked frames) are not.
    """

    def __init__(self, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, features: Any) -> Any:
        sounding = ops.cast(ops.any(ops.not_equal(features, 0.0), axis=-1), "int32")
        of_frames = ops.flip(ops.cumsum(ops.flip(sounding, axis=1), axis=1), axis=1) > 0
        return of_frames[:, self.stride - 1 :: self.stride]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable(PACKAGE)
class MaskedMean(keras.layers.Layer):
    """Mean over time of [batch, steps, n] where mask [batch, steps] holds -> [batch, n]."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def call(self, values: Any, mask: Any) -> Any:
        weights = ops.expand_dims(ops.cast(mask, values.dtype), -1)
        return ops.sum(values * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


@keras.saving.register_keras_serializable(PACKAGE)
class AttentionPooling(keras.layers.Layer):
    """Weighted mean over time, the weights being a softmax of a learnt score of each step.

    [batch, steps, n] (and mask [batch, steps]) -> [batch, n]; the local attention of
    Mirsamadi et al., ICASSP 2017.
    ``weights_of`` gives the weights alone, for plots.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.score = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="score")

    def weights_of(self, values: Any, mask: Any = None) -> Any:
        scores = ops.sum(values * self.score, axis=-1)
        if mask is not None:
            scores = ops.where(mask, scores, ops.full_like(scores, -1e9))
        return ops.softmax(scores, axis=-1)

    def call(self, values: Any, mask: Any = None) -> Any:
        return ops.sum(values * ops.expand_dims(self.weights_of(values, mask), -1), axis=1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(PACKAGE)
class LoudestFrames(keras.layers.Layer):
    """The ``count`` frames of [batch, frames, features] with the largest first feature (the log energy, in
    cepstra), loudest first -> [batch, count, features].
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def call(self, features: Any) -> Any:
        _, places = ops.top_k(features[:, :, 0], self.count)
        return ops.take_along_axis(features, ops.expand_dims(places, -1), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


def finish(inputs: Any, embedding: Any, shape: Shape, name: str) -> Any:
    """Close a network: the "emotion" logits, and one dense layer per further head on the same embedding."""
    emotion = keras.layers.Dense(shape.classes, name="emotion")(embedding)
    if not shape.heads:
        return keras.Model(inputs, emotion, name=name)
    outputs = {"emotion": emotion}
    for head, width in shape.heads.items():
        outputs[head] = keras.layers.Dense(width, name=head)(embedding)
    return keras.Model(inputs, outputs, name=name)
