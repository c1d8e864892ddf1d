"""Float against int8 over the same inputs: is the small model the model that was trained?

The gate: over held-out speakers the labels agree on at least 97 % of the utterances and the unweighted
average recall falls by at most 1.0 point. Every conversion is measured; what fails is not written unless that
is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.compiler import Compiled, Options
from convert.data import Inputs, in_chunks
from convert.interpret import run_elsewhere, run_graph
from convert.ir import Float
from train.dataset import padded
from train.metrics import confusion, uar, wa
from train.predict import softmax

MIN_AGREEMENT = 0.97
MAX_UAR_LOSS = 0.01
MAX_RUNTIME_LSB = 1
COMPARED, COMPARED_ON_ARM = 64, 8  # inputs by which interpreters are compared; emulation takes its time
ON_ARM = "tflite-runtime on aarch64"
INTERPRETERS = {
    "tflite-runtime": "ai-edge-litert and tflite-runtime",
    ON_ARM: "tflite-runtime here and on an emulated aarch64",
}
BATCH = 32
Labels = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Logits:
    """One row of logits per input (window, or mean over the steps of an utterance), float and int8."""

    floats: Float
    ints: Float


def measure_logits(model: Any, compiled: Compiled, inputs: Inputs, step: bool) -> Logits:
    """Both models' logits [inputs, classes]. A step model's are the means over its chunks, by both alike, and
    those of a model with warps the means over the runs of a window, as the device has them.
    """
    whole = [
        in_chunks(features, compiled.frames, inputs.repeat_frames) if step else features
        for features in inputs.features
    ]
    floats = inputs.hearings.mean(lambda heard: float_logits(model, heard)[:, : compiled.classes], whole)
    return Logits(floats, inputs.hearings.mean(lambda heard: int8_logits(compiled, heard), whole))


def int8_logits(compiled: Compiled, features: Sequence[Float]) -> Float:
    """The int8 graph's logits, the mean over the chunks of each of ``features``."""
    codes = run_graph(compiled.flatbuffer, [compiled.quantise(each) for each in features])
    return np.stack([compiled.logits(rows).mean(axis=0) for rows in codes])


def float_logits(model: Any, features: Sequence[Float]) -> Float:
    """The Keras model's logits, like lengths together; zeros behind the shorter ones are masked by the
    model.
    """
    order = np.argsort([len(each) for each in features], kind="stable")
    logits: dict[int, Float] = {}
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        outputs = model(padded([features[row] for row in rows]), training=False)
        batch = np.asarray(outputs["emotion"] if isinstance(outputs, dict) else outputs, np.float32)
        logits.update(zip(rows.tolist(), batch, strict=True))
    return np.stack([logits[row] for row in range(len(features))])


def utterance_scores(
    logits: Float, owners: Labels, temperature: float = 1.0
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Probabilities [utterances, classes]: the mean over an utterance's windows of softmax(logits /
    temperature).
    """
    scores = np.zeros((int(owners.max()) + 1, logits.shape[1]))
    np.add.at(scores, owners, softmax(logits / np.float32(temperature)))
    return np.asarray(scores / np.bincount(owners)[:, np.newaxis])


def compare(logits: Logits, owners: Labels, true: Labels, labels: Sequence[str], on: str) -> dict[str, Any]:
    """The parity report over utterances ``on`` (a few words saying who they are)."""
    n = len(labels)
    by_float, by_int = (
        utterance_scores(part, owners).argmax(axis=1) for part in (logits.floats, logits.ints)
    )
    counts = {"float": confusion(true, by_float, n), "int8": confusion(true, by_int, n)}
    difference = np.abs(logits.floats - logits.ints)
    agree = by_float == by_int
    report: dict[str, Any] = {
        "on": on,
        "utterances": len(true),
        "label_agreement": float(agree.mean()),
        "uar": {name: uar(each) for name, each in counts.items()},
        "wa": {name: wa(each) for name, each in counts.items()},
        "uar_loss_points": 100 * (uar(counts["float"]) - uar(counts["int8"])),
        "worst_logit_difference": float(difference.max()),
        "rms_logit_difference": float(np.sqrt(np.mean(difference**2))),
        "logit_range": float(np.ptp(logits.floats)),
        "per_class": {},
    }
    for index, label in enumerate(labels):
        own = true == index
        if own.any():
            report["per_class"][label] = {
                "utterances": int(own.sum()),
                "label_agreement": float(agree[own].mean()),
                "recall_float": float((by_float[own] == index).mean()),
                "recall_int8": float((by_int[own] == index).mean()),
                "worst_logit_difference": float(difference[np.isin(owners, np.flatnonzero(own))].max()),
            }
    report["failures"] = failures(report)
    return report


def failures(report: dict[str, Any]) -> list[str]:
    """What the gate finds wrong, in words; empty when the model may be written."""
    found = []
    if report["label_agreement"] < MIN_AGREEMENT:
        share = 100 * report["label_agreement"]
        found.append(
            f"labels agree on {share:.1f} % of {report['utterances']} utterances (at least 97 % wanted)"
        )
    if report["uar_loss_points"] > 100 * MAX_UAR_LOSS:
        found.append(f"UAR falls by {report['uar_loss_points']:.1f} points (at most 1.0 allowed)")
    for name, entry in report.get("runtimes", {}).items():
        worst, most = entry["worst_lsb"], entry["most_lsb"]
        if worst > most:
            found.append(f"{INTERPRETERS[name]} differ by {worst} steps of int8 (at most {most} allowed)")
    return found


def compare_runtimes(
    compiled: Compiled,
    inputs: Inputs,
    python: Path | None,
    arm: Sequence[str] | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """Largest differences in int8 steps: between LiteRT and tflite-runtime (in ``python``'s environment), and
    between tflite-runtime here and on an emulated ARM (by the command ``arm``). ``most_lsb`` may be.
    """
    if python is None:
        return {}
    codes = [compiled.quantise(features) for features in inputs.features[:COMPARED]]
    ours = run_graph(compiled.flatbuffer, codes)
    theirs = run_elsewhere([python], compiled.flatbuffer, codes, "tflite-runtime")
    report = {"tflite-runtime": {**_apart(ours, theirs), "most_lsb": MAX_RUNTIME_LSB}}
    if arm is not None:
        there = run_elsewhere(arm, compiled.flatbuffer, codes[:COMPARED_ON_ARM], "tflite-runtime")
        wide = options is not None and (options.precision.state_bits > 8 or options.int16_activations)
        most = MAX_RUNTIME_LSB if wide or "HARD_SWISH" in compiled.ops else 0  # docs/converter.md, limits
        report[ON_ARM] = {**_apart(theirs[:COMPARED_ON_ARM], there), "most_lsb": most}
    return report


def _apart(a: Sequence[Any], b: Sequence[Any]) -> dict[str, Any]:
    steps = np.concatenate([np.abs(x.astype(int) - y.astype(int)).ravel() for x, y in zip(a, b, strict=True)])
    return {"inputs": len(a), "worst_lsb": int(steps.max()), "equal_share": float(np.mean(steps == 0))}
