"""Two small real models for tests: a CNN over windows and a recurrent step, int8, packed like shipped ones.

The CNN is trained for a few steps to tell a low tone, a high tone and noise apart, and quantised by
TensorFlow's own converter. The step's weights are drawn by a seed: what matters there is the arithmetic and
the state.
"""

from __future__ import annotations

import numpy as np

from convert.flat import Writer
from convert.modelfile import Golden, pack
from edge_ser.frontend import Frontend, FrontendOptions
from edge_ser.graph import read_graph
from edge_ser.model import Model

RATE_HZ = 16000
LABELS = ["low", "high", "noise"]
OPTIONS = FrontendOptions()
STEP_FRAMES, STEP_UNITS = 8, 6


def signal(label: str, seed: int, seconds: float = 1.0) -> np.ndarray:
    """float32 samples of a class: a tone near 200 or 1500 Hz, or noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    noise = rng.normal(0, 0.02 if label != "noise" else 0.2, n)
    if label == "noise":
        return noise.astype(np.float32)
    hz = (200 if label == "low" else 1500) * rng.uniform(0.9, 1.1)
    return (rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * hz * np.arange(n) / RATE_HZ) + noise).astype(
        np.float32
    )


def record(name, form, frames, mean, std, graph, length_s, hop_s, states=()):
    """A complete edge_ser.json, but for what ``pack`` fills in."""
    g = read_graph(graph, name)
    x, y = g.inputs[0], g.outputs[0]
    return {
        "name": name, "description": "made for tests", "license": "CC0-1.0", "labels": LABELS, "form": form,
        "speech_only": False,
        "frontend": OPTIONS.as_dict(),
        "input": {"frames": frames, "features": 13, "mean": mean, "std": std,
                  "scale": x.scale[0], "zero_point": x.zero_point[0]},
        "window": {"length_s": length_s, "hop_s": hop_s, "pad": "audio"},
        "state": list(states),
        "output": {"kind": "logits", "scale": y.scale[0], "zero_point": y.zero_point[0]},
        "calibration": {"temperature": 1.0, "abstain_below": 0.0},
        "training": {"corpora": [], "recipe": "small", "seed": 0},
        "evaluation": {"protocol": "none"},
        "graph": {"ops": g.ops},
    }  # fmt: skip


def with_golden(graph: bytes, entry: dict, card: str = "# A model for tests\n") -> bytes:
    """Pack the model with the golden vector that it gives here."""
    from edge_ser.engine import Engine

    model = Model(pack(graph, entry, card), entry["name"])
    audio = np.rint(signal("low", 99) * 32767 / 1.5).astype(np.int16)
    engine = Engine(model)
    features = engine.features(audio.astype(np.float32) / np.float32(32768))
    engine.reset()
    scores = np.array([engine.run(chunk) for chunk in features])
    return pack(graph, entry, card, Golden(audio, features, scores))


def window_model() -> bytes:
    """One-second windows every half second."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    tf.keras.utils.set_random_seed(7)
    frontend = Frontend(OPTIONS)
    classes = np.arange(96) % 3
    features = np.stack([frontend.process(signal(LABELS[c], seed)) for seed, c in enumerate(classes)])
    mean, std = features.mean(axis=(0, 1)), features.std(axis=(0, 1))
    x = ((features - mean) / std)[..., np.newaxis].astype(np.float32)
    layers = tf.keras.layers
    net = tf.keras.Sequential([
        tf.keras.Input(x.shape[1:]),
        layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        layers.DepthwiseConv2D(3, padding="same", activation="relu"),
        layers.MaxPool2D(2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ])  # fmt: skip
    net.compile(
        tf.keras.optimizers.Adam(0.02), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    net.fit(x, classes, batch_size=16, epochs=8, verbose=0)
    function = tf.function(net).get_concrete_function(tf.TensorSpec((1, *x.shape[1:]), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    graph = converter.convert()
    entry = record("small-window", "window", x.shape[1], mean.tolist(), std.tolist(), graph, 1.0, 0.5)
    return with_golden(graph, entry)


def step_model() -> bytes:
    """state' = tanh(W [chunk, state] + b), logits = V state', in chunks of STEP_FRAMES frames."""
    rng = np.random.default_rng(3)
    n_in, scale = STEP_FRAMES * 13, 1 / 128  # TANH wants this output scale
    writer = Writer()
    main = writer.subgraph()

    def tensor(shape, step=scale, dtype="int8", data=None):
        return writer.tensor(main, shape, dtype, step, 0, data)

    def dense(x, n_x, n_y, step, out):
        weights = tensor((n_y, n_x), 0.01, data=rng.integers(-127, 128, (n_y, n_x)))
        bias = tensor((n_y,), step * 0.01, "int32", rng.integers(-2000, 2000, n_y))
        y = tensor((1, n_y), out)
        writer.op(main, "FULLY_CONNECTED", [x, weights, bias], [y])
        return y

    x, state = tensor((1, STEP_FRAMES, 13)), tensor((1, STEP_UNITS))
    flat, both = tensor((1, n_in)), tensor((1, n_in + STEP_UNITS))
    shape = writer.tensor(main, (2,), "int32", data=np.array([1, n_in]))
    writer.op(main, "RESHAPE", [x, shape], [flat], newShape=np.array([1, n_in], np.int32))
    writer.op(main, "CONCATENATION", [flat, state], [both], axis=1)
    new_state = tensor((1, STEP_UNITS))
    writer.op(main, "TANH", [dense(both, n_in + STEP_UNITS, STEP_UNITS, scale, 0.03)], [new_state])
    logits = dense(new_state, STEP_UNITS, 3, scale, 0.05)
    writer.subgraphs[main].inputs, writer.subgraphs[main].outputs = [x, state], [logits, new_state]
    graph = writer.pack("a step for tests")
    states = [{"input": 1, "output": 1, "shape": [1, STEP_UNITS]}]
    entry = record("small-step", "step", STEP_FRAMES, [0.0] * 13, [40.0] * 13, graph, 2.0, 0.5, states)
    return with_golden(graph, entry)
