"""A run to a model file: calibrate, compile, compare with the float model, and only then write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convert.adapt import compile_adapted, spare
from convert.calibration import choose
from convert.card import write_card
from convert.compiler import Compiled, Options
from convert.data import REPEAT_TO_S, Inputs, Source
from convert.golden import golden_audio, golden_features
from convert.interpret import run_graph
from convert.modelfile import Golden, pack
from convert.parity import Labels, Logits, compare, compare_runtimes, failures, measure_logits
from convert.record import build_record
from convert.recurrent import Precision
from convert.run import Run
from edge_ser.errors import ConfigError, ModelError
from edge_ser.frontend import FrontendOptions
from train.dataset import true_labels
from train.utterance import Utterance


@dataclass(frozen=True)
class Settings:
    """What the command line may choose. ``chunk`` frames make a step (0: the model's stride)."""

    root: Path
    chunk: int = 0
    window_s: float | None = None
    repeat_to_s: float = REPEAT_TO_S
    lead_s: float | None = None
    per_cell: int = 2  # calibration utterances for every speaker and class
    seed: int = 0
    precision: Precision = field(default_factory=Precision)
    int16_activations: bool = False
    fine_tune: int | None = None  # epochs; None: where int8 costs more than convert/adapt.py allows
    tflite_python: Path | None = None  # a Python that has tflite-runtime
    arm_python: tuple[str, ...] | None = None  # the same on an emulated ARM


@dataclass(frozen=True)
class Conversion:
    """A compiled run with the measurements on ``checked`` utterances."""

    run: Run
    source: Source
    compiled: Compiled
    options: Options
    checked: list[Utterance]
    inputs: Inputs
    logits: Logits
    parity: dict[str, Any]

    @property
    def true(self) -> Labels:
        return true_labels(self.run.labels, self.checked)


def convert(run: Run, settings: Settings) -> Conversion:
    """Compile ``run`` and measure float against int8 on its held-out utterances.

    A run without any is measured on training utterances that neither calibrated nor fine-tuned it.
    """
    model = run.load_model()
    source = Source(run, settings.root, settings.window_s, settings.repeat_to_s, settings.lead_s)
    chosen = choose(run.train, settings.per_cell, settings.seed)
    if not chosen:
        raise ModelError(f"{run.folder}: no training utterances to calibrate with; train the recipe again")
    calibration = source.inputs([run.train[index] for index in chosen])
    adapted = compile_adapted(
        run, source, model, calibration.stacked(), _options(run, source, model, settings), chosen, settings
    )
    compiled = adapted.compiled
    checked, on = _checked(run, chosen, adapted.options.fine_tune > 0)
    inputs = source.inputs(checked)
    logits = measure_logits(model, compiled, inputs, run.step)
    parity = compare(logits, inputs.owners, true_labels(run.labels, checked), run.labels, on)
    parity["calibration"] = {
        "utterances": len(chosen),
        "per_speaker_and_class": settings.per_cell,
        "seed": settings.seed,
    }
    parity["fine_tuning"] = adapted.report
    parity["runtimes"] = compare_runtimes(
        compiled, inputs, settings.tflite_python, settings.arm_python, adapted.options
    )
    parity["failures"] = failures(parity)
    return Conversion(run, source, compiled, adapted.options, checked, inputs, logits, parity)


def model_bytes(
    conversion: Conversion, name: str, evaluation: Mapping[str, Any] | None = None
) -> tuple[bytes, str]:
    """The model file and its card; ``evaluation`` is what ``python -m convert cv`` found out about the
    recipe.
    """
    run, compiled = conversion.run, conversion.compiled
    known = {**(evaluation or {}), "parity": conversion.parity}
    record = build_record(run, conversion.source, compiled, conversion.options, name, known)
    graph = compiled.flatbuffer
    record["graph"] |= {"bytes": len(graph), "sha256": hashlib.sha256(graph).hexdigest()}
    card = write_card(record)
    record["evaluation"] = _brief(known)
    return pack(graph, record, card, _golden(conversion)), card


def _brief(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation as the file carries it: figures to four places, and of the folds' checks, and of what
    little speech is worth, only what the card says.
    """
    told = ("parity", "folds_parity", "short")
    kept = {name: each for name, each in evaluation.items() if name not in told}
    return {**_rounded(kept), "parity": evaluation["parity"]}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _golden(conversion: Conversion) -> Golden:
    compiled, run = conversion.compiled, conversion.run
    options = FrontendOptions.from_dict(run.record["frontend"])
    step = run.std.astype(np.float64) * compiled.input.scale
    length = 0 if run.step else round((conversion.source.length_s or 0) * options.rate_hz)
    audio = golden_audio(options.rate_hz)[: length or None]
    quantise = 1.0 / step, compiled.input.zero_point - run.mean / step
    features = golden_features(options, audio, quantise, length)
    features = features[: len(features) // compiled.frames * compiled.frames]
    return Golden(audio, features, run_graph(compiled.flatbuffer, [features])[0])


def _options(run: Run, source: Source, model: Any, settings: Settings) -> Options:
    if run.step:
        frames = settings.chunk or stride(model)
        if frames % stride(model):
            raise ConfigError(
                f"--chunk {frames}: the model takes {stride(model)} frames at a time; give a multiple"
            )
    elif settings.chunk:
        raise ConfigError("--chunk is for models in step form; this run has a fixed window")
    else:
        assert source.frames is not None
        frames = source.frames
    return Options(
        frames,
        run.step,
        len(run.labels),
        settings.precision,
        settings.int16_activations,
        settings.fine_tune or 0,
    )


def stride(model: Any) -> int:
    """Frames that a step model takes at least: what its mask of frames strides over."""
    strides = [int(layer.stride) for layer in model.layers if type(layer).__name__ == "FrameMask"]
    return max(strides, default=1)


def _checked(run: Run, chosen: Sequence[int], tuned: bool) -> tuple[list[Utterance], str]:
    if run.held_out:
        speakers = {utterance.speaker_id for utterance in run.held_out}
        return run.held_out, f"{len(speakers)} held-out speaker" + ("s" if len(speakers) > 1 else "")
    kept = set(spare(run, chosen)) if tuned else set(range(len(run.train))) - set(chosen)
    if not kept:
        raise ModelError(f"{run.folder}: nothing is left to compare on; lower --per-cell")
    did = "neither calibrated nor fine-tuned" if tuned else "did not calibrate"
    on = f"training utterances that {did} it (the run holds nobody out)"
    return [run.train[index] for index in sorted(kept)], on
