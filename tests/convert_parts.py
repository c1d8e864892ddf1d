"""Small Keras models with lively random weights, and sequences as smooth as features of speech."""

from __future__ import annotations

import numpy as np


def sequences(count: int, frames: int, features: int, seed: int = 0) -> np.ndarray:
    """float32 [count, frames, features]: a first-order walk with unit variance."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, frames, features)).astype(np.float32)
    for t in range(1, frames):
        x[:, t] = 0.8 * x[:, t - 1] + 0.6 * x[:, t]
    return x


def enliven(model, seed: int = 1):
    """Move every weight a little, so that biases, gains and moving statistics are not zeros and ones."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" not in variable.name:
            moved = np.asarray(variable) + 0.1 * rng.standard_normal(variable.shape)
            variable.assign(np.abs(moved) + 0.3 if "variance" in variable.name else moved)
    return model


def recurrent_step(cell: str, layers: int, units: int = 24, features: int = 10, chunk: int = 2):
    """A model of the form that ``train`` gives to streaming recurrent networks."""
    import keras

    from train.models.layers import FrameMask, MaskedMean

    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, features))
    mask = FrameMask(chunk)(inputs)
    x = keras.layers.Conv1D(20, chunk, strides=chunk, activation="relu")(inputs)
    for _ in range(layers):
        if cell == "lstm":
            x = keras.layers.LSTM(units, return_sequences=True)(x)
        else:
            x = keras.layers.GRU(units, return_sequences=True, reset_after=cell == "gru_after")(x)
    steps = keras.layers.Dense(5, name="emotion_steps")(x)
    return enliven(keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask)))


def causal_cnn(features: int = 10, chunk: int = 2):
    """A streaming CNN: dilated causal depthwise blocks with residuals, and a 2-D front that is causal in
    time.
    """
    import keras

    from train.models.layers import FrameMask, MaskedMean

    layers = keras.layers
    keras.utils.set_random_seed(4)
    inputs = keras.Input((None, features))
    mask = FrameMask(chunk)(inputs)
    x = layers.Conv1D(16, chunk, strides=chunk, activation="relu", name="chunk")(inputs)
    for number, dilation in enumerate((1, 2, 4), start=1):
        y = layers.ZeroPadding1D((2 * dilation, 0), name=f"past_{number}")(x)
        y = layers.DepthwiseConv1D(3, dilation_rate=dilation, use_bias=False, name=f"depthwise_{number}")(y)
        y = layers.Conv1D(16, 1, use_bias=False, name=f"pointwise_{number}")(y)
        y = layers.BatchNormalization(name=f"norm_{number}")(y)
        x = layers.Add(name=f"add_{number}")([x, layers.ReLU(name=f"relu_{number}")(y)])
    x = layers.Conv1D(12, 3, padding="causal", activation="relu", name="causal")(x)
    steps = layers.Dense(5, name="emotion_steps")(x)
    return enliven(keras.Model(inputs, MaskedMean(name="emotion")(steps, mask=mask)))


def window_cnn(frames: int = 32, features: int = 12):
    """What a window may hold: parallel 2-D paths, pooling, normalisation, depthwise, silu, attention."""
    import keras

    from train.models.layers import AttentionPooling

    layers = keras.layers
    keras.utils.set_random_seed(5)
    inputs = keras.Input((frames, features))
    image = layers.Reshape((frames, features, 1))(inputs)
    paths = []
    for kernel in ((5, 1), (1, 5), (3, 3)):
        x = layers.Conv2D(6, kernel, strides=(2, 1), padding="same", use_bias=False)(image)
        paths.append(layers.AveragePooling2D(2)(layers.ReLU()(layers.BatchNormalization()(x))))
    x = layers.Concatenate()(paths)
    x = layers.SeparableConv2D(16, 3, padding="same", activation="silu")(x)
    x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = AttentionPooling(name="attention")(x)
    x = layers.Dropout(0.5)(layers.Dense(10, activation="tanh")(x))
    return enliven(keras.Model(inputs, layers.Dense(5, name="emotion")(x)))


def two_minded_cnn(frames: int = 32, features: int = 12):
    """Convolutions and, beside them, statistics of the loudest frames; the emotion is the sum of both."""
    import keras

    from train.models import BRANCHES, Shape
    from train.models.light_cnn import Options, build

    keras.utils.set_random_seed(6)
    options = Options(stem=4, widths=[6], pools=[[2, 2]], head=8, excess=True, loudest_frames=18)
    model = enliven(build(Shape(frames, features, 5, dict.fromkeys(BRANCHES, 5)), options))
    return keras.Model(model.inputs[0], model.outputs[model.output_names.index("emotion")])
