"""The model file: what is right is read, what is not is named, and no damaged byte reaches an interpreter."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from edge_ser.errors import ModelError
from edge_ser.flatbuffer import Flatbuffer
from edge_ser.graph import read_graph
from edge_ser.model import DEFAULT_MODEL, Model, find_model, shipped_models


@pytest.fixture(scope="module")
def good(window_model) -> bytes:
    return window_model.read_bytes()


def repacked(data: bytes, change=None, graph=None, **members: bytes | None) -> bytes:
    """The same model with its record changed, another graph, or other members (None removes one)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(contents["edge_ser.json"])
    graph = data[: record["graph"]["bytes"]] if graph is None else graph
    if change:
        change(record)
    contents["edge_ser.json"] = json.dumps(record).encode()
    contents |= {name.replace("__", "/").replace("_json", ".json"): body for name, body in members.items()}
    file = io.BytesIO(graph)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, body in contents.items():
            if body is not None:
                archive.writestr(name, body)
    return file.getvalue()


def resigned(data: bytes, graph: bytes) -> bytes:
    """Another graph with its digest in order, as an attacker would sign it."""
    from hashlib import sha256

    def change(record):
        record["graph"] |= {"bytes": len(graph), "sha256": sha256(graph).hexdigest()}

    return repacked(data, change, graph)


def error_of(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        Model(data, "m.tflite")
    message = str(caught.value)
    assert message.startswith("m.tflite: ") and "\n" not in message and "; " in message
    return message


# --- what is right ------------------------------------------------------------------------------------------


def test_a_model_says_all_that_it_holds(good):
    model = Model(good, "m.tflite")
    assert (model.name, model.labels, model.form) == ("small-window", ["low", "high", "noise"], "window")
    assert (model.rate_hz, model.window_samples, model.frames, model.n_features) == (16000, 16000, 98, 13)
    assert (model.length_s, model.hop_s, model.temperature, model.abstain_below) == (1.0, 0.5, 1.0, 0.0)
    assert model.card == "# A model for tests\n"
    assert good.startswith(model.graph)


def test_a_model_is_a_zip_archive_and_a_tflite_file_at_once(window_model, good):
    assert zipfile.ZipFile(window_model).testzip() is None
    assert good[4:8] == b"TFL3"


def test_quantisation_follows_the_record(good):
    model = Model(good, "m.tflite")
    given = model.record["input"]
    x = np.linspace(-30, 30, 13, dtype=np.float32)
    wanted = (x - np.array(given["mean"])) / np.array(given["std"]) / given["scale"] + given["zero_point"]
    assert np.abs(x * model.input_scale + model.input_offset - wanted).max() < 1e-3


def test_the_step_form_starts_from_real_zeros(step_model):
    model = Model.load(step_model)
    assert [state.tolist() for state in model.zero_states()] == [[[0] * 6]]
    assert model.zero_states()[0].dtype == np.int8


def test_models_are_found_by_path_or_name(window_model):
    assert Model.load(window_model).name == Model.load(str(window_model)).name == "small-window"
    assert find_model(DEFAULT_MODEL) == find_model() and find_model().is_file()
    assert shipped_models()[0] == DEFAULT_MODEL
    with pytest.raises(ModelError, match=rf"emodb-cnx: no such model is installed \({DEFAULT_MODEL}"):
        find_model("emodb-cnx")
    with pytest.raises(ModelError, match=r"cannot be read \(No such file"):
        Model.load("nowhere.tflite")


# --- what is wrong ------------------------------------------------------------------------------------------


def test_an_ordinary_tflite_or_an_empty_file_is_no_model(good):
    assert "not a model of edge_ser" in error_of(b"")
    assert "not a model of edge_ser" in error_of(Model(good, "m").graph)
    assert "no edge_ser.json" in error_of(repacked(good, edge_ser_json=None))


def test_a_file_that_is_too_large_is_not_looked_at():
    assert "larger than 64 MiB" in error_of(bytes((64 << 20) + 1))


def test_a_member_that_unpacks_to_too_much_is_refused(good):
    assert "oversized" in error_of(repacked(good, bomb=bytes(5 << 20)))


def test_another_schema_asks_for_an_update(good):
    assert error_of(repacked(good, lambda record: record.update(schema=2))).endswith(
        "written in schema 2, this edge_ser reads 1; update edge_ser"
    )


def test_a_graph_that_is_not_the_one_that_was_signed_is_refused(good):
    graph = bytearray(Model(good, "m").graph)
    graph[-5] ^= 1
    assert "sha256 differs" in error_of(repacked(good, graph=bytes(graph)))
    assert "size or sha256" in error_of(repacked(good, graph=bytes(graph) + b"\0" * 4))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.pop("labels"), "labels is missing"),
        (lambda r: r.update(labels=["a", "a", "b"]), "labels is"),
        (lambda r: r.update(labels=["a", "b\n", "c"]), "labels is"),
        (lambda r: r.update(labels=["a", "b"]), "output 0 of the graph is int8 (1, 3), it should be"),
        (lambda r: r.update(form="other"), "form is 'other', it should be window or step"),
        (lambda r: r.update(name=7), "name is 7"),
        (lambda r: r["frontend"].pop("n_mels"), "field 'n_mels' is missing"),
        (lambda r: r["frontend"].update(hop=10), "unknown field 'hop'"),
        (lambda r: r["frontend"].update(n_fft=500), "front-end options"),
        (lambda r: r["frontend"].update(n_mfcc=12), "gives 12 features"),
        (lambda r: r["input"].update(frames=97), "give 98 frames, input.frames is 97"),
        (lambda r: r["input"].update(frames=True), "input.frames is True"),
        (lambda r: r["input"]["mean"].pop(), "input.mean is"),
        (lambda r: r["input"]["std"].__setitem__(0, 0.0), "input.std is"),
        (lambda r: r["input"].update(scale=float("nan")), "input.scale is nan"),
        (lambda r: r["input"].update(zero_point=-129), "input.zero_point is -129"),
        (lambda r: r["input"].update(zero_point=r["input"]["zero_point"] - 1), "input 0 of the graph has"),
        (lambda r: r["output"].update(scale=r["output"]["scale"] * 1.01), "output 0 of the graph has scale"),
        (lambda r: r["output"].update(kind="probabilities"), "output.kind"),
        (lambda r: r["window"].update(length_s=1e9), "window.length_s"),
        (lambda r: r["window"].update(hop_s=0), "window.hop_s is 0"),
        (lambda r: r["window"].update(length_s=2.0), "2.0 s give 198 frames"),
        (lambda r: r["window"].update(repeat_to_s=3.5), "window.repeat_to_s is 3.5"),
        (lambda r: r["window"].update(repeat_to_s=None), "window.repeat_to_s is None"),
        (lambda r: r["calibration"].update(temperature=0), "calibration.temperature is 0"),
        (lambda r: r["calibration"].update(abstain_below="low"), "calibration.abstain_below"),
        (lambda r: r["calibration"].update(short=[]), "calibration.short is []"),
        (lambda r: r["calibration"].update(short={"full_s": 0, "exponent": 1}), "short.full_s is 0"),
        (lambda r: r["calibration"].update(short={"full_s": 1}), "calibration.short.exponent is missing"),
        (lambda r: r.update(state=[{}]), "state is"),
        (lambda r: r["graph"].update(ops=["CONV_2D"]), "graph.ops lists"),
        (lambda r: r["graph"].update(bytes="many"), "graph.bytes"),
        (lambda r: r.update(golden=[]), "golden is []"),
        (lambda r: r.update(training=None), "training is None"),
    ],
)  # fmt: skip
def test_a_record_with_one_wrong_field_names_it(good, change, reason):
    assert reason in error_of(repacked(good, change))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100000, b'{"schema": 1e999}'])
def test_a_record_that_is_no_json_object_is_refused(good, text):
    error_of(repacked(good, edge_ser_json=text))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.update(form="window"), "state is"),
        (lambda r: r.update(state=[]), "2 inputs and 2 outputs, 0 states"),
        (lambda r: r["state"][0].update(shape=[1, 7]), "state 0 goes in as"),
        (lambda r: r["state"][0].update(output=2), "names an input or output that is not there"),
        (lambda r: r["state"][0].update(input=0), "state[0].input is 0"),
        (lambda r: r["frontend"].update(normalize="utterance"), "cannot wait for an utterance"),
    ],
)
def test_a_step_record_that_disagrees_with_its_graph_is_refused(step_model, change, reason):
    assert reason in error_of(repacked(step_model.read_bytes(), change))


def test_an_incomplete_golden_vector_is_named(good):
    model = Model(repacked(good, golden__scores_i8=None, **{"golden__scores.i8": b"\0"}), "m.tflite")
    with pytest.raises(ModelError, match="golden vector is incomplete"):
        model.golden()


# --- the self-test ------------------------------------------------------------------------------------------


def test_the_golden_vector_is_reproduced_exactly_where_it_was_made(window_model, step_model):
    for path in (window_model, step_model):
        result = Model.load(path).self_test("ai_edge_litert")
        assert (result.passed, result.feature_difference, result.score_difference) == (True, 0, 0)


def test_another_golden_vector_fails_the_self_test(good):
    scores = Model(good, "m").golden()[2]
    other = (scores.astype(int) + 3).clip(-128, 127).astype(np.int8).tobytes()
    assert not Model(repacked(good, **{"golden__scores.i8": other}), "m").self_test().passed


# --- damage -------------------------------------------------------------------------------------------------


def test_a_flatbuffer_offset_is_never_followed_outside():
    for data in (
        b"\xff\xff\xff\xffTFL3",
        b"\x08\0\0\0TFL3",
        b"\x08\0\0\0TFL3\xff\xff\xff\x7f",
        b"\x0c\0\0\0TFL3" + b"\0" * 8,
    ):
        with pytest.raises(ModelError, match="damaged"):
            read_graph(data, "g")
    with pytest.raises(ModelError, match="TFL3"):
        Flatbuffer(b"\0\0\0\0TFL2", "g").root(b"TFL3")


def test_every_truncation_is_refused(good):
    for length in range(0, len(good), 37):
        error_of(good[:length])


def mutants(data: bytes, n: int, seed: int, places: list[int] | None = None):
    """Copies with one to eight bits flipped, at ``places`` or anywhere."""
    rng = random.Random(seed)
    places = places or list(range(len(data)))
    for _ in range(n):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            mutant[rng.choice(places)] ^= 1 << rng.randrange(8)
        yield bytes(mutant)


def structure(graph: bytes) -> list[int]:
    """Where the bytes of a graph lie that are no weights."""
    buffers = Flatbuffer(graph, "g").root(b"TFL3").tables(4, "buffer")
    weights: set[int] = set()
    for start, n in (table.vector(0, 1) for table in buffers):
        weights |= set(range(start, start + n)) if n > 64 else set()
    return [at for at in range(len(graph)) if at not in weights]


def test_a_damaged_file_is_refused_or_means_the_same(good):
    original = Model(good, "m")
    refused = 0
    for mutant in mutants(good, 3000, seed=1):
        try:
            model = Model(mutant, "m")
        except ModelError:
            refused += 1
        else:  # dates and attributes in the archive carry no meaning
            assert model.graph == original.graph and model.record == original.record
    assert refused > 2400


RUN_MUTANTS = """
import sys
from edge_ser.errors import ModelError
from edge_ser.runtime import Runtime
for path in sys.argv[2:]:
    try:
        runtime = Runtime(open(path, "rb").read(), sys.argv[1])
        for place in range(len(runtime._inputs)):
            runtime.input(place)[...] = 5
        runtime.invoke()
    except (ModelError, RuntimeError, ValueError):
        pass
print("alive")
"""


@pytest.fixture(scope="module")
def graphs(window_model, step_model):
    """Convolutions by TensorFlow's converter, a step, the shipped CNN, and a loop over frames by ours."""
    import keras

    from convert.compiler import Options, compile_model

    keras.utils.set_random_seed(1)
    frames = keras.Input((6, 3))
    loop = keras.Model(frames, keras.layers.Dense(2)(keras.layers.GRU(4)(frames)))
    sample = np.random.default_rng(1).normal(size=(20, 6, 3)).astype(np.float32)
    compiled = compile_model(loop, sample, Options(6, False, loops_from=2))
    assert "WHILE" in compiled.ops
    return {
        "window": Model.load(window_model).graph,
        "step": Model.load(step_model).graph,
        "shipped": Model.load().graph,
        "loop": compiled.flatbuffer,
    }


@pytest.mark.parametrize("form", ["window", "step", "shipped", "loop"])
@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_graphs_that_an_attacker_signed_anew_never_end_the_process(
    runtime, form, graphs, python_of, tmp_path
):
    """The digest is right, so only the walk over the graph stands between the bytes and the interpreter."""
    graph = graphs[form]
    passed = []
    for n, mutant in enumerate(mutants(graph, 1200, 2, structure(graph))):
        try:
            read_graph(mutant, "g")
        except ModelError:
            continue
        passed.append(tmp_path / f"{n}.tflite")
        passed[-1].write_bytes(mutant)
    assert 20 < len(passed) < 600
    done = subprocess.run(
        [python_of(runtime), "-c", RUN_MUTANTS, runtime, *passed], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]


def test_a_signed_graph_with_an_operation_that_is_not_allowed_is_refused(good):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(Model(good, "m").graph, 0)
    code = graph.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CALL
    builder = flatbuffers.Builder(4096)
    builder.Finish(graph.Pack(builder), b"TFL3")
    message = error_of(resigned(good, bytes(builder.Output())))
    assert "operator code 0 is the operation 31, which is not on the list of allowed ones" in message


def largest_of_six(count: int, index_type: str = "int32") -> bytes:
    """A graph that gives the ``count`` largest of six numbers."""
    pytest.importorskip("tensorflow", reason="needs the train extra")
    from convert.flat import Writer

    writer = Writer()
    part = writer.subgraph()
    x = writer.tensor(part, (1, 6), "int8", 0.1, name="x")
    number = writer.tensor(part, (), "int32", data=np.array(count))
    highest = writer.tensor(part, (1, count), "int8", 0.1)
    places = writer.tensor(part, (1, count), index_type, None if index_type == "int32" else 1.0)
    writer.op(part, "TOPK_V2", [x, number], [highest, places])
    writer.subgraphs[part].inputs, writer.subgraphs[part].outputs = [x], [highest]
    return writer.pack("made for tests")


def test_a_choice_of_the_largest_is_of_as_many_as_there_are():
    assert read_graph(largest_of_six(6), "m").ops == ["TOPK_V2"]
    with pytest.raises(ModelError, match=r"TOPK_V2.* takes an odd number"):
        read_graph(largest_of_six(7), "m")
    with pytest.raises(ModelError, match=r"TOPK_V2.* gives odd types"):
        read_graph(largest_of_six(3, "int8"), "m")


def test_importing_the_reader_needs_no_interpreter():
    code = "import sys, edge_ser.model; print([m for m in sys.modules if 'litert' in m or 'tflite' in m])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
