"""An int8 graph holds nothing that x86 and ARM round in two ways (tests/arm compares the bits)."""

from __future__ import annotations

import numpy as np
import pytest
from convert_parts import causal_cnn, recurrent_step, sequences, two_minded_cnn, window_cnn

from train.backend import configure

configure()

from tensorflow.lite.python import schema_py_generated as schema  # noqa: E402

from convert.compiler import Options, compile_model  # noqa: E402
from convert.interpret import run_graph  # noqa: E402
from convert.recurrent import Precision  # noqa: E402

NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
LAYERS = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
MODELS = {
    "gru": lambda: recurrent_step("gru", 1),
    "gru that resets after": lambda: recurrent_step("gru_after", 2),
    "lstm": lambda: recurrent_step("lstm", 2),
    "causal cnn": causal_cnn,
    "window cnn": window_cnn,
    "window cnn with statistics": two_minded_cnn,
}


def operations(flatbuffer: bytes):
    """(kind, input tensors, output tensors, fused activation) of every operation, inside loops too."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for part in model.subgraphs:
        for op in part.operators:
            kind = NAMES[model.operatorCodes[op.opcodeIndex].builtinCode]
            activation = getattr(op.builtinOptions, "fusedActivationFunction", 0)
            inputs = [part.tensors[i] for i in op.inputs if i >= 0]
            yield kind, inputs, [part.tensors[i] for i in op.outputs], activation


@pytest.fixture(scope="module", params=list(MODELS))
def compiled(request):
    model = MODELS[request.param]()
    step = "window" not in request.param
    x = sequences(16, 32, model.inputs[0].shape[-1], seed=8)
    return model, x, compile_model(model, x, Options(2 if step else 32, step))


def test_no_layer_gives_codes_below_zero_and_no_scale_is_changed_by_quantize(compiled):
    found = list(operations(compiled[2].flatbuffer))
    layers = [(outputs[0], activation) for kind, _, outputs, activation in found if kind in LAYERS]
    assert len(layers) > 4
    for output, activation in layers:
        assert activation or output.quantization.zeroPoint[0] == -128
    narrow = schema.TensorType.INT8
    for kind, inputs, outputs, _ in found:
        assert kind != "QUANTIZE" or {inputs[0].type, outputs[0].type} != {narrow}


def test_the_sums_of_a_cell_cost_no_operation_more():
    """Two layers and a sum: the sum becomes a difference, and nothing stands behind either layer."""
    x = sequences(16, 32, 10, seed=8)
    lstm = compile_model(recurrent_step("lstm", 1), x, Options(2, True))
    kinds = [kind for kind, *_ in operations(lstm.flatbuffer)]
    assert kinds.count("SUB") == 2 and kinds.count("ADD") == 1  # the cell's own: c' = f c + i g


def test_what_becomes_sixteen_bits_wide_does_so_as_it_is():
    """Inside the cell nothing is added to codes before they are cast, and casts lose nothing."""
    x = sequences(16, 32, 10, seed=8)
    lstm = compile_model(recurrent_step("lstm", 1), x, Options(2, True, precision=Precision(16)))
    found = list(operations(lstm.flatbuffer))
    kinds = [kind for kind, *_ in found]
    assert kinds.count("CAST") == 4 and kinds.count("ADD") == 3  # shares and recollections; their sums, c'
    for kind, inputs, outputs, _ in found:
        if kind == "CAST":
            assert inputs[0].quantization.scale == outputs[0].quantization.scale
            assert (inputs[0].quantization.zeroPoint[0], outputs[0].quantization.zeroPoint[0]) == (-128, 0)


def test_logits_are_what_the_model_says_without_the_constant(compiled):
    """The constant in the output's codes is known to ``logits``; the classes' order does not hang on it."""
    model, x, graph = compiled
    rows = run_graph(graph.flatbuffer, [graph.quantise(each) for each in x])
    ours = np.stack([graph.logits(each).mean(axis=0) for each in rows])
    theirs = np.asarray(model(x, training=False))
    summed = list(operations(graph.flatbuffer))[-1][0] == "SUB"
    assert graph.output.lift == 0.0 if summed else graph.output.lift > 1.0
    assert np.abs(ours.mean() - theirs.mean()) < 0.02 * np.ptp(theirs)
    assert (np.stack([each.mean(axis=0) for each in rows]).argmax(1) == ours.argmax(1)).all()
