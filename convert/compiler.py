"""A Keras model and real features to the int8 graph: build, observe, lower. The way through this room in one
page.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.calibration import best_range
from convert.graphs import build_graph
from convert.integers import Quant, quantise
from convert.interpret import run_graph
from convert.ir import Float, Graph
from convert.lift import WEIGHTED
from convert.lower import Lowering
from convert.observe import observe, origin, run_float
from convert.recurrent import Precision
from convert.stem import pack_stem
from convert.widen import widen
from edge_ser.errors import ConfigError

# Strangers' logits lie outside of the range seen in calibration.
OUTPUT_HEADROOM = 1.5
# Two interpreters round differently on the way. For their outputs to differ by one step at most, a step must
# not be finer than the graph's own rounding noise: it is at least so many times that noise (rms), more where
# a state of 8 bits carries the errors of one frame to the next. (Windows in 16 bits do without: they hardly
# part, and no window is longer than those of calibration.) Then what LiteRT's two sets of kernels say of
# calibration data is compared, and the step made coarser until they differ by one at most, and seldom enough
# (rms) that other inputs will hardly show more.
NOISE_STEPS, NOISE_STEPS_OF_STATES = 2.0, 3.0
APART_RMS, COARSER, COARSER_TIMES = 0.4, 1.25, 8
NOISE_SEQUENCES, FEW_SEQUENCES = 24, 256
SD_OF_MEDIAN = 1.4826  # a normal variable's standard deviation, by the median of its size
# Behind the last layer: a mean over frames, labels without the class "silence", the end of 16 bits, two
# layers' sum.
_KEEPS_CLASSES = {"MEAN", "RESHAPE", "SLICE", "QUANTIZE", "ADD"}
LOOPS_FROM = 5  # frames from which a loop in the graph is smaller than copies of the cell


@dataclass(frozen=True)
class Options:
    """``frames``: of the window, or of a chunk in step form. ``int16_activations``: 16 bits between input
    and output.
    """

    frames: int
    step: bool
    classes: int | None = None  # outputs to keep; None: all
    precision: Precision = field(default_factory=Precision)
    int16_activations: bool = False
    fine_tune: int = 0  # epochs of quantisation-aware training
    loops_from: int = LOOPS_FROM

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Compiled:
    """The flatbuffer and what the model file says about it. ``weight_bytes`` counts the model's weights in
    int8, neither biases nor zeros that convert/stem.py adds.
    """

    flatbuffer: bytes
    frames: int
    classes: int
    input: Quant
    output: Quant
    states: list[dict[str, Any]]
    ops: list[str]
    weight_bytes: int
    multiply_adds: int  # of one invocation

    def quantise(self, features: Float) -> npt.NDArray[np.int8]:
        """Standardised float features as int8 codes of the input tensor."""
        return quantise(features, self.input)  # type: ignore[no-any-return]

    def logits(self, codes: npt.NDArray[np.int8]) -> Float:
        lifted = (codes.astype(np.float32) - self.output.zero_point) * np.float32(self.output.scale)
        return lifted - np.float32(self.output.lift)


def compile_model(
    model: Any, calibration: Float, options: Options, training: Float | None = None
) -> Compiled:
    """Convert ``model`` with ranges measured on ``calibration`` [sequences, frames, features], standardised.

    ``training`` [sequences, frames, features] is what ``options.fine_tune`` learns from. Raises ModelError
    naming the layer that has no integer form.
    """
    graph = build_graph(
        model, options.frames, options.step, precision=options.precision, classes=options.classes
    )
    return compile_graph(graph, calibration, options, training)


def compile_graph(
    graph: Graph, calibration: Float, options: Options, training: Float | None = None
) -> Compiled:
    if calibration.shape[1] < options.frames:
        raise ConfigError(
            f"calibration sequences have {calibration.shape[1]} frames, the graph takes {options.frames}"
        )
    low, high = best_range(calibration)
    observe(graph, np.clip(calibration, low, high).astype(np.float32))
    graph.inputs[0].low, graph.inputs[0].high = low, high
    _widen_output(graph, OUTPUT_HEADROOM)
    few = calibration[:: len(calibration) // FEW_SEQUENCES + 1]
    exact = run_float(graph, few)
    if options.int16_activations:
        widen(graph)
    if options.fine_tune and training is not None:
        from convert.finetune import fine_tune

        fine_tune(graph, training, options.fine_tune)
    weight_bytes = _weight_bytes(graph)
    if not options.int16_activations:  # whose kernels do one multiply-add after the other
        pack_stem(graph)
    return replace(_settled(graph, options, few, exact), weight_bytes=weight_bytes)


def _settled(graph: Graph, options: Options, few: Float, exact: Float) -> Compiled:
    """The graph lowered, with an output step on which interpreters agree and logits centred on ``exact``,
    float's of the sequences ``few``.
    """
    compiled = _lower(graph, options)
    carries = options.step or any(op.kind == "SCAN" for op in graph.ops)
    narrow = options.precision.state_bits == 8 and not options.int16_activations
    if narrow or options.step:
        steps = NOISE_STEPS_OF_STATES if carries and narrow else NOISE_STEPS
        fewer = few[:: len(few) // NOISE_SEQUENCES + 1]
        factor = steps * _noise(graph, compiled, fewer) / compiled.output.scale
        if factor > 1:
            _widen_output(graph, factor)
            compiled = _lower(graph, options)
    if _centre(graph, compiled, few, exact):
        compiled = _lower(graph, options)
    for _ in range(COARSER_TIMES):
        if _agree(compiled, few):
            break
        _widen_output(graph, COARSER)
        compiled = _lower(graph, options)
    return compiled


def _widen_output(graph: Graph, factor: float) -> None:
    for value in {graph.outputs[0], origin(graph.outputs[0])}:
        value.low *= factor
        value.high *= factor


def _lower(graph: Graph, options: Options) -> Compiled:
    lowering = Lowering(graph, options.loops_from)
    flatbuffer = lowering.run()
    return Compiled(
        flatbuffer,
        options.frames,
        graph.outputs[0].shape[1],
        lowering.quants[graph.inputs[0]],
        lowering.quants[graph.outputs[0]],
        _states(graph, lowering),
        sorted(lowering.writer.kinds),
        _weight_bytes(graph),
        _multiply_adds(graph),
    )


def _noise(graph: Graph, compiled: Compiled, sequences: Float) -> float:
    """Root mean square difference of int8 and float outputs of single runs, as far as rounding makes it.

    A sequence that is clipped may be off by logits, in all interpreters alike: the mean counts no more than
    twice the median's worth.
    """
    codes = run_graph(compiled.flatbuffer, [compiled.quantise(sequence) for sequence in sequences])
    ints = np.stack([compiled.logits(rows) for rows in codes])
    apart = np.abs(ints - run_float(graph, sequences))
    return float(min(np.sqrt(np.mean(apart**2)), 2 * SD_OF_MEDIAN * np.median(apart)))


def _centre(graph: Graph, compiled: Compiled, sequences: Float, exact: Float) -> bool:
    """Takes what int8 adds to each class's logit, in half of the sequences more and in half less, off the
    last bias (Nagel et al., Data-Free Quantization, ICCV 2019, section 4.2, of the output alone). False where
    the logits do not end in a layer with a bias.
    """
    layer = graph.outputs[0].produced_by
    while layer is not None and layer.kind in _KEEPS_CLASSES:
        layer = layer.inputs[0].produced_by
    if layer is None or layer.kind != "FULLY_CONNECTED" or layer.options.get("activation"):
        return False
    codes = run_graph(compiled.flatbuffer, [compiled.quantise(sequence) for sequence in sequences])
    apart = np.stack([compiled.logits(rows) for rows in codes]) - exact
    bias = layer.inputs[2]
    assert bias.data is not None
    bias.data = bias.data.copy()
    bias.data[: compiled.classes] -= np.median(apart.mean(axis=1), axis=0)
    return True


def _agree(compiled: Compiled, sequences: Float) -> bool:
    """Whether XNNPACK's kernels and TFLite's own, which are tflite-runtime's too, give nearly the same."""
    codes = [compiled.quantise(sequence) for sequence in sequences]
    fast = np.concatenate(run_graph(compiled.flatbuffer, codes)).astype(float)
    plain = np.concatenate(run_graph(compiled.flatbuffer, codes, plain=True))
    apart = np.abs(fast - plain)
    return bool(apart.max() <= 1 and np.sqrt(np.mean(apart**2)) <= APART_RMS)


def _states(graph: Graph, lowering: Lowering) -> list[dict[str, Any]]:
    """The record of the states: places among the graph's inputs and outputs, and the code that stands for
    zero.
    """
    entries = []
    for number, state in enumerate(graph.states, start=1):
        q = lowering.quants[state.before]
        entry = {"input": number, "output": number, "shape": list(state.before.shape)}
        entries.append(entry | {"dtype": q.dtype, "scale": q.scale, "zero_point": q.zero_point})
    return entries


def _weight_bytes(graph: Graph) -> int:
    weights = {op.inputs[1] for op in graph.all_ops() if op.kind in WEIGHTED}
    return sum(int(np.prod(value.shape)) for value in weights)


def _multiply_adds(graph: Graph) -> int:
    """Of one invocation; each weight meets every position of the output, a loop's once a frame."""
    total = 0
    for op in graph.ops:
        if op.kind == "SCAN":
            total += op.inputs[0].shape[1] * _multiply_adds(op.options["body"])
        elif op.kind in WEIGHTED:
            positions = int(np.prod(op.outputs[0].shape[1:-1]))
            total += positions * int(np.prod(op.inputs[1].shape))
    return total
