"""The interpreters: the same scores from each, in memory that the front end writes itself."""

from __future__ import annotations

import gc
import json
import subprocess

import numpy as np
import pytest

from edge_ser._native import LookUp
from edge_ser.engine import Engine
from edge_ser.errors import ConfigError, ModelError
from edge_ser.model import Model
from edge_ser.runtime import RUNTIMES, Runtime, find_runtime

SCORE = """
import json, sys
import numpy as np
from edge_ser.engine import Engine
from edge_ser.model import Model
from edge_ser.self_test import self_test

for path in sys.argv[2:]:
    model = Model.load(path)
    test = self_test(model, sys.argv[1])
    engine = Engine(model, sys.argv[1])
    chunks = np.random.default_rng(4).integers(-128, 128, (8, model.frames, model.n_features)).astype(np.int8)
    print(json.dumps([engine.runtime.name, test.passed, [engine.run(chunk).tolist() for chunk in chunks]]))
"""


@pytest.mark.parametrize("runtime", ["tflite_runtime", "tensorflow"])
def test_every_runtime_gives_the_scores_of_litert_within_a_step(runtime, window_model, step_model, python_of):
    answers = {}
    for name in ("ai_edge_litert", runtime):
        command = [python_of(name), "-c", SCORE, name, window_model, step_model]
        out = subprocess.check_output(command, text=True, stderr=subprocess.PIPE)
        window, step = map(json.loads, out.splitlines()[-2:])
        assert window[:2] == step[:2] == [name, True]
        answers[name] = np.array(window[2] + step[2])
    assert np.abs(answers["ai_edge_litert"] - answers[runtime]).max() <= 1


def test_the_first_installed_runtime_is_taken(window_model):
    assert find_runtime()[0] == "ai_edge_litert" == next(iter(RUNTIMES))
    assert Runtime(Model.load(window_model).graph).name == "ai_edge_litert"


def test_tflite_runtime_with_numpy_2_is_refused_before_it_fails():
    assert np.__version__.startswith("2.")
    with pytest.raises(ModelError, match=r"tflite_runtime needs numpy below 2, not 2\..*; pip install"):
        find_runtime("tflite_runtime")


def test_an_unknown_runtime_and_a_missing_one_say_what_to_do(monkeypatch):
    with pytest.raises(
        ModelError, match="'onnx' is not known; choose ai_edge_litert, tflite_runtime, tensorflow"
    ):
        find_runtime("onnx")
    monkeypatch.setattr("edge_ser.runtime.RUNTIMES", {"nothing": "edge_ser.nothing_of_the_kind"})
    with pytest.raises(
        ModelError, match=r"no TFLite runtime for Python 3\.\d+ \(No module named .*; pip install"
    ):
        find_runtime()


def test_a_graph_that_the_runtime_cannot_run_is_a_model_error():
    with pytest.raises(ModelError, match="ai_edge_litert cannot run the graph"):
        Runtime(b"no graph at all", "ai_edge_litert")


@pytest.mark.parametrize("name", list(RUNTIMES))
def test_inputs_and_outputs_lie_in_the_interpreters_memory_and_stay_there(name, window_model):
    graph = Model.load(window_model).graph
    try:
        runtime = Runtime(graph, name)
    except ModelError as error:
        pytest.skip(str(error))
    ends = [runtime.input(0), runtime.output(0)]
    inner = runtime._interpreter
    places = [inner.get_input_details()[0]["index"], inner.get_output_details()[0]["index"]]
    for value in (-100, 17, 90):
        ends[0][...] = value
        runtime.invoke()
        assert (inner.get_tensor(places[0]) == value).all()
        assert (inner.get_tensor(places[1]) == ends[1]).all()
    assert [inner.tensor(place)().ctypes.data for place in places] == [each.ctypes.data for each in ends]


def test_an_array_keeps_the_interpreter_whose_memory_it_is(window_model):
    held = Runtime(Model.load(window_model).graph).input(0)
    gc.collect()
    held[...] = 5
    assert (held == 5).all()


def test_a_look_up_reads_codes_of_either_sign_as_they_are_then():
    table = np.arange(256, dtype=np.float32)
    codes = np.array([0, 127, -128, -1], np.int8)
    look_up = LookUp(codes, table)
    first = look_up()
    codes[0] = 5
    assert first.tolist() == [0.0, 127.0, 128.0, 255.0]
    assert look_up().tolist() == [5.0, 127.0, 128.0, 255.0]


def test_a_look_up_takes_nothing_else():
    table = np.arange(256, dtype=np.float32)
    codes = np.zeros(4, np.int8)
    for wrong in (
        (codes.astype(np.int16), table),
        (codes.reshape(1, 4), table),
        (codes, table[:255]),
        (codes, table.astype(np.float64)),
    ):
        with pytest.raises(ConfigError, match="takes a vector of int8 codes and 256 floats"):
            LookUp(*wrong)


def test_output_is_a_copy_that_later_runs_leave_alone(window_model):
    engine = Engine(Model.load(window_model))
    chunk = np.zeros((98, 13), np.int8)
    first = engine.run(chunk)
    kept = first.copy()
    engine.run(chunk + 90)
    assert (first == kept).all() and not (engine.run(chunk + 90) == kept).all()


def test_features_reach_the_graph_as_the_record_quantises_them(window_model, step_model):
    from edge_ser.frontend import Frontend

    samples = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    for path in (window_model, step_model):
        model = Model.load(path)
        x = Frontend(model.frontend).process(samples)
        given = model.record["input"]
        exact = (x - np.array(given["mean"])) / np.array(given["std"]) / given["scale"] + given["zero_point"]
        codes = Engine(model).features(samples).reshape(-1, 13)  # all whole windows or chunks
        assert len(codes) > len(x) - model.frames
        assert np.abs(codes - exact.clip(-128, 127)[: len(codes)]).max() < 0.501
