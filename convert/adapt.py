"""Decides how a model is held in integers, by speakers of the training data alone.

What int8 costs is measured on mixtures (convert/mixtures.py) of training utterances that neither calibrate
nor fine-tune. Where that is more than half a point of UAR, or more than a few labels, other ways are tried,
the one that costs the device nothing first: weights fine-tuned to int8, then, in recurrent models, a state of
16 bits, then both (over a window, where fine-tuning takes long, the state comes first). The first that is
good enough, and nearer to float than int8 alone, is kept; if none is, the one whose logits are nearest to
float's: a label or two are chance. The held-out speakers, by whom the gate and every figure are measured,
have no say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convert.calibration import choose
from convert.compiler import Compiled, Options, compile_model
from convert.data import Source
from convert.ir import Float
from convert.mixtures import mixtures
from convert.parity import MIN_AGREEMENT, compare, measure_logits
from convert.run import Run
from train.dataset import true_labels
from train.utterance import Utterance

if TYPE_CHECKING:
    from convert.pipeline import Settings

MAX_LOSS_POINTS = 0.5
# What is as undecided as strangers are keeps as many labels as they will; half as many may change as the gate
# lets pass, since theirs are few and so a matter of luck.
LEAST_AGREEMENT = (1 + MIN_AGREEMENT) / 2
MEASURED = ("uar_loss_points", "label_agreement", "rms_logit_difference")
EPOCHS = 3
SPARE_PER_CELL = 4  # utterances of every speaker and class that fine-tuning never sees
RECURRENT = {"GRU", "LSTM", "Bidirectional"}
# Fine-tuning unrolls loops, which takes long: a step model's sequences are cut to so many frames, and
# recurrent models over a window are fine-tuned last, over a longer one only where that is asked for.
FRAMES = 120


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
    """Compile ``model``; fine-tuned for ``settings.fine_tune`` epochs, or, if that is None, in the first way
    that is good enough.
    """
    if settings.fine_tune is not None:
        training = _training(run, source, chosen) if options.fine_tune else None
        compiled = compile_model(model, calibration, options, training)
        return Adapted(compiled, options, {"epochs": options.fine_tune, "why": "asked for"})
    apart = [run.train[index] for index in spare(run, chosen)]
    if not apart:
        plain = compile_model(model, calibration, options)
        return Adapted(plain, options, {"epochs": 0, "why": "no training utterance is left to measure on"})
    inputs, nearer = mixtures(source.inputs(apart), apart)
    true = true_labels(run.labels, nearer)
    tried: dict[str, dict[str, float]] = {}
    made: dict[str, Adapted] = {}
    for way, each in ways(options, model).items():
        training = _training(run, source, chosen) if each.fine_tune else None
        compiled = compile_model(model, calibration, each, training)
        logits = measure_logits(model, compiled, inputs, run.step)
        report = compare(logits, inputs.owners, true, run.labels, "")
        tried[way] = {key: report[key] for key in MEASURED}
        made[way] = Adapted(compiled, each, {})
        if good_enough(tried[way]) and _distance(tried[way]) <= _distance(tried["int8"]):
            break
    else:
        way = min(tried, key=lambda name: _distance(tried[name]))
    why = "int8 cost too much"
    if way == "int8":
        why = "int8 costs too little" if len(tried) == 1 else "it did not help"
    kept = made[way]
    report = {"epochs": kept.options.fine_tune, "way": way, "why": why, "tried": tried}
    return Adapted(kept.compiled, kept.options, {**report, "utterances": len(apart), "mixtures": len(nearer)})


def ways(options: Options, model: Any) -> dict[str, Options]:
    """What may be tried for ``model``, by name, in this order."""
    found = {"int8": options, "int8, fine-tuned": replace(options, fine_tune=EPOCHS)}
    recurrent = any(type(layer).__name__ in RECURRENT for layer in model.layers)
    if recurrent and options.precision.state_bits == 8 and not options.int16_activations:
        wide = replace(options, precision=replace(options.precision, state_bits=16))
        found |= {"16-bit state": wide, "16-bit state, fine-tuned": replace(wide, fine_tune=EPOCHS)}
    if recurrent and not options.step:
        found = dict(sorted(found.items(), key=lambda way: way[1].fine_tune))
        found = {name: way for name, way in found.items() if not way.fine_tune or options.frames <= FRAMES}
    return found


def good_enough(cost: Mapping[str, float]) -> bool:
    return cost["uar_loss_points"] <= MAX_LOSS_POINTS and cost["label_agreement"] >= LEAST_AGREEMENT


def _distance(cost: Mapping[str, float]) -> float:
    return cost["rms_logit_difference"]


def learnt_from(run: Run, chosen: Sequence[int]) -> list[Utterance]:
    """What fine-tuning learns from: the training utterances that are not kept apart."""
    apart = set(spare(run, chosen))
    return [utterance for index, utterance in enumerate(run.train) if index not in apart]


def _training(run: Run, source: Source, chosen: Sequence[int]) -> Float:
    stacked = source.inputs(learnt_from(run, chosen)).stacked()
    return stacked[:, :FRAMES] if run.step else stacked
