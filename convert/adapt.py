"""Decides whether the weights have to learn to live with int8, by speakers of the training data alone.

What post-training int8 costs is measured on training utterances that neither calibrate nor fine-tune. Where
that is more than half a point of UAR, or more than a few labels, the weights are fine-tuned, and of the two
graphs the one that agrees better with float on these utterances is kept. The held-out speakers, by whom the
gate and every figure are measured, have no say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convert.calibration import choose
from convert.compiler import Compiled, Options, compile_model
from convert.data import Source
from convert.ir import Float
from convert.parity import MIN_AGREEMENT, compare, measure_logits
from convert.run import Run
from train.dataset import true_labels
from train.utterance import Utterance

if TYPE_CHECKING:
    from convert.pipeline import Settings

MAX_LOSS_POINTS = 0.5
# What was trained on is surer than strangers are: half as many labels may change as the gate lets pass.
LEAST_AGREEMENT = (1 + MIN_AGREEMENT) / 2
EPOCHS = 3
SPARE_PER_CELL = 4  # utterances of every speaker and class that fine-tuning never sees
FRAMES = 120  # of a step model's sequences: the unrolled graph of a whole utterance takes minutes to build


@dataclass(frozen=True)
class Adapted:
    """The graph to use, the options it was made with, and what was measured on the way."""

    compiled: Compiled
    options: Options
    report: dict[str, Any]


def spare(run: Run, chosen: Sequence[int]) -> list[int]:
    """Indices of training utterances kept apart from calibration (``chosen``) and from fine-tuning."""
    calibrates = set(chosen)
    rest = [index for index in range(len(run.train)) if index not in calibrates]
    return [rest[place] for place in choose([run.train[index] for index in rest], SPARE_PER_CELL, seed=1)]


def compile_adapted(
    run: Run,
    source: Source,
    model: Any,
    calibration: Float,
    options: Options,
    chosen: Sequence[int],
    settings: Settings,
) -> Adapted:
    """Compile ``model``; fine-tuned for ``settings.fine_tune`` epochs, or, if that is None, where int8 needs
    it.
    """
    if settings.fine_tune is not None:
        training = _training(run, source, chosen) if options.fine_tune else None
        compiled = compile_model(model, calibration, options, training)
        return Adapted(compiled, options, {"epochs": options.fine_tune, "why": "asked for"})
    plain = compile_model(model, calibration, options)
    apart = [run.train[index] for index in spare(run, chosen)]
    if not apart:
        return Adapted(plain, options, {"epochs": 0, "why": "no training utterance is left to measure on"})
    inputs = source.inputs(apart)

    def cost(compiled: Compiled) -> dict[str, float]:
        logits = measure_logits(model, compiled, inputs, run.step)
        report = compare(logits, inputs.owners, true_labels(run.labels, apart), run.labels, "")
        return {key: report[key] for key in ("uar_loss_points", "label_agreement")}

    report: dict[str, Any] = {"epochs": 0, "utterances": len(apart), "before": cost(plain)}
    before = report["before"]
    if before["uar_loss_points"] <= MAX_LOSS_POINTS and before["label_agreement"] >= LEAST_AGREEMENT:
        return Adapted(plain, options, {**report, "why": "int8 costs too little"})
    tuned_options = replace(options, fine_tune=EPOCHS)
    tuned = compile_model(model, calibration, tuned_options, _training(run, source, chosen))
    after = report["after"] = cost(tuned)
    if (after["label_agreement"], -after["uar_loss_points"]) <= (
        before["label_agreement"],
        -before["uar_loss_points"],
    ):
        return Adapted(plain, options, {**report, "why": "it did not help"})
    return Adapted(tuned, tuned_options, {**report, "epochs": EPOCHS, "why": "int8 cost too much"})


def learnt_from(run: Run, chosen: Sequence[int]) -> list[Utterance]:
    """What fine-tuning learns from: the training utterances that are not kept apart."""
    apart = set(spare(run, chosen))
    return [utterance for index, utterance in enumerate(run.train) if index not in apart]


def _training(run: Run, source: Source, chosen: Sequence[int]) -> Float:
    stacked = source.inputs(learnt_from(run, chosen)).stacked()
    return stacked[:, :FRAMES] if run.step else stacked
