"""Light-SERNet's architecture as float32 and int8 .tflite files: `light_sernet.py FOLDER`. Needs tensorflow.

Aftab et al., "Light-SERNet: a lightweight fully convolutional neural network for speech emotion recognition",
ICASSP 2022: three parallel convolutions over 40 MFCC of 3 s (64 ms windows every 16 ms: 184 frames), then a
stack of them. The weights are drawn, not trained: what is counted is what one run costs, and that does not
depend on them. Converted by TensorFlow's own converter, as the authors do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FRAMES, CEPSTRA, CLASSES = 184, 40, 7
PARALLEL = [(11, 1), (1, 9), (3, 3)]  # filters along time, along the cepstra, and over both
STACK = [(64, (3, 3), (2, 2)), (96, (3, 3), (2, 2)), (128, (3, 3), (2, 1)), (160, (3, 3), (2, 1))]


def block(x: Any, filters: int, kernel: tuple[int, int], pool: tuple[int, int] | None) -> Any:
    """Convolution, batch normalisation, ReLU, and average pooling where the paper has it."""
    layers = tf.keras.layers
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return layers.AveragePooling2D(pool)(x) if pool else x


def light_sernet() -> Any:
    """The Keras model [1, frames, cepstra, 1] -> logits."""
    layers = tf.keras.layers
    given = layers.Input((FRAMES, CEPSTRA, 1))
    x = layers.Concatenate()([block(given, 32, kernel, (2, 2)) for kernel in PARALLEL])
    for filters, kernel, pool in STACK:
        x = block(x, filters, kernel, pool)
    x = layers.GlobalAveragePooling2D()(block(x, 320, (1, 1), None))
    return tf.keras.Model(given, layers.Dense(CLASSES)(x))


def samples() -> Iterator[list[np.ndarray]]:
    """Inputs to calibrate the int8 ranges with."""
    draw = np.random.default_rng(0)
    for _ in range(8):
        yield [draw.standard_normal((1, FRAMES, CEPSTRA, 1)).astype(np.float32)]


def main(folder: Path) -> None:
    tf.keras.utils.set_random_seed(0)
    model = light_sernet()
    shape = tf.TensorSpec((1, FRAMES, CEPSTRA, 1), tf.float32)
    function = tf.function(model).get_concrete_function(shape)
    for name in ["float32", "int8"]:
        frozen = convert_variables_to_constants_v2(function)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        if name == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        graph = converter.convert()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"light-sernet-{name}.tflite").write_bytes(graph)
        print(f"light-sernet-{name}: {model.count_params()} parameters, {len(graph)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
