"""A converted step model says of a live stream, however it arrives, what it says of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
from convert_parts import causal_cnn, enliven, recurrent_step, sequences
from small_models import LABELS, record

from edge_ser.engine import Engine
from edge_ser.model import Model
from train.backend import configure

configure()

import keras  # noqa: E402

from convert.compiler import Options, compile_model  # noqa: E402
from convert.interpret import run_graph  # noqa: E402
from convert.modelfile import pack  # noqa: E402
from convert.recurrent import Precision  # noqa: E402
from train.models import Shape, conv_gru  # noqa: E402

FEATURES, CHUNK = 13, 4


def separable_gru():
    keras.utils.set_random_seed(5)
    pools = [[1, 2], [1, 1], [1, 1]]
    options = conv_gru.Options(widths=[12, 16, 16], pools=pools, head=16, units=12, separable_from=2)
    return enliven(conv_gru.build(Shape(None, FEATURES, len(LABELS)), options))


MODELS = {
    "gru": lambda: recurrent_step("gru", 1, features=FEATURES),
    "gru 2": lambda: recurrent_step("gru_after", 2, features=FEATURES),
    "lstm": lambda: recurrent_step("lstm", 1, features=FEATURES),
    "lstm 2": lambda: recurrent_step("lstm", 2, features=FEATURES),
    "lstm with 16 bits": lambda: recurrent_step("lstm", 1, features=FEATURES),
    "causal cnn": lambda: causal_cnn(features=FEATURES),
    "separable gru": separable_gru,
}


@pytest.fixture(scope="module", params=list(MODELS))
def engine(request):
    """The model as the device runs it: int8, packed, read, on the product's own engine."""
    options = Options(CHUNK, True, len(LABELS), precision=Precision(16 if "16" in request.param else 8))
    compiled = compile_model(MODELS[request.param](), sequences(16, 40, FEATURES, seed=8), options)
    entry = record(
        "stream", "step", CHUNK, [0.0] * 13, [20.0] * 13, compiled.flatbuffer, 2.0, 0.04, compiled.states
    )
    return Engine(Model(pack(compiled.flatbuffer, entry, "# A model for tests\n"), "stream"))


def test_any_chunking_gives_what_the_whole_gives(engine):
    rng = np.random.default_rng(5)
    samples = (rng.uniform(0, 0.3) * rng.standard_normal(24000)).astype(np.float32)
    samples *= np.repeat(rng.uniform(0, 1, 24), 1000).astype(np.float32)  # loud and soft
    codes = engine.features(samples)
    [alone] = run_graph(engine.model.graph, [codes.reshape(-1, FEATURES)])  # no engine, no stream
    assert len(np.unique(alone, axis=0)) > 10
    whole = np.concatenate([engine.push(samples), engine.finish()])
    output = engine.model.record["output"]
    expected = (alone.astype(np.float32) - output["zero_point"]) * np.float32(output["scale"])
    np.testing.assert_array_equal(whole, expected)
    for largest in (100, 700, 9000):
        parts, at = [], 0
        while at < len(samples):
            size = int(rng.integers(1, largest))
            parts.append(engine.push(samples[at : at + size]))
            at += size
        np.testing.assert_array_equal(np.concatenate([*parts, engine.finish()]), whole)
