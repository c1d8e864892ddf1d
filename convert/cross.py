"""A cross-validation in int8: every fold converted, its held-out speakers heard by the product's own chain,
pooled.

The result is what a model card quotes, and where temperature and abstain threshold come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.confidence import cross_fitted, fit_temperature, fit_threshold, typical_logits
from convert.parity import Logits, compare, utterance_scores
from convert.pipeline import Conversion, Settings, convert, model_bytes
from convert.run import read_run
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from edge_ser.prediction import Prediction
from train.metrics import confusion, difference_interval, evaluate, uar, wa
from train.utterance import Utterance

INT8 = "int8.tflite"  # a fold's model file, beside its run


def convert_folds(folder: Path, settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Convert and evaluate every fold of the cross-validation in ``folder``; the evaluation for model
    records.
    """
    cv = read_cv(folder)
    names = [fold["folder"] for fold in cv["folds"]]
    conversions: list[Conversion] = []
    heard: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for name in names:
        conversion = convert(read_run(folder / name), settings)
        conversions.append(conversion)
        heard.append(_hear(conversion, settings.root))
        parity = conversion.parity
        tell(
            f"{name}: float UAR {100 * parity['uar']['float']:.1f}, int8 {100 * parity['uar']['int8']:.1f}, "
            f"labels agree {100 * parity['label_agreement']:.1f} %, size "
            f"{len(conversion.compiled.flatbuffer)}"
        )
    return _pool(cv, conversions, np.concatenate(heard))


def read_cv(folder: Path) -> dict[str, Any]:
    """The cv.json of a finished cross-validation; ModelError where there is none."""
    try:
        cv: dict[str, Any] = json.loads((folder / "cv.json").read_text(encoding="utf-8"))
        if not all("folder" in fold for fold in cv["folds"]):
            raise ValueError("a fold without a folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: not a finished cross-validation ({error}); run python -m train cv"
        ) from None
    return cv


def _hear(conversion: Conversion, root: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores [utterances, classes] of the fold's model file, from recording to answer as on a device.

    The file stays beside the run, for python -m convert robustness.
    """
    path = conversion.run.folder / INT8
    path.write_bytes(model_bytes(conversion, "fold")[0])
    classifier = Classifier(model=str(path))
    return np.array(
        [
            hear(classifier.classify(str(root / each.path)), conversion.run.labels, each.emotion)
            for each in conversion.checked
        ]
    )


def hear(prediction: Prediction, labels: Sequence[str], true: str) -> list[float]:
    """The scores of an answer in the order of ``labels``. Speech taken for "no speech" is a wrong answer, so
    all others share what the ``true`` label does not get.
    """
    if prediction.scores:
        return [prediction.scores[label] for label in labels]
    return [0.0 if label == true else 1 / (len(labels) - 1) for label in labels]


def _pool(
    cv: dict[str, Any], conversions: list[Conversion], heard: np.ndarray[Any, np.dtype[np.float64]]
) -> dict[str, Any]:
    utterances: list[Utterance] = [each for conversion in conversions for each in conversion.checked]
    labels = conversions[0].run.labels
    true = np.concatenate([conversion.true for conversion in conversions])
    starts = np.cumsum([0, *(len(conversion.checked) for conversion in conversions)])
    owners = np.concatenate(
        [conversion.inputs.owners + start for conversion, start in zip(conversions, starts, strict=False)]
    )
    logits = Logits(
        np.concatenate([conversion.logits.floats for conversion in conversions]),
        np.concatenate([conversion.logits.ints for conversion in conversions]),
    )
    float_figures = evaluate(utterances, true, utterance_scores(logits.floats, owners), labels)
    int8_figures = evaluate(utterances, true, heard, labels)
    temperature = fit_temperature(logits.ints, owners, true)
    calibrated = utterance_scores(logits.ints, owners, temperature)
    speakers = [utterance.speaker_id for utterance in utterances]
    seeds = max(len(cv["seeds"]), 1)
    folds = f"{len(conversions) // seeds} folds" + (f" of {seeds} seeds" if seeds > 1 else "")
    parity = compare(logits, owners, true, labels, f"the held-out speakers of all {folds}")
    plain = utterance_scores(logits.ints, owners)
    said = {
        "float": utterance_scores(logits.floats, owners).argmax(axis=1),
        "graph": plain.argmax(axis=1),
        "int8": heard.argmax(axis=1),
    }
    of_graph = difference_interval(true, said["float"], said["graph"], speakers, len(labels), uar)
    parity["uar_loss_points_interval"] = [100 * end for end in of_graph]
    parity["chain_agreement"] = float((said["graph"] == said["int8"]).mean())
    return {
        "protocol": cv["protocol"],
        "recipe": cv["recipe_name"],
        "git_commit": cv["git_commit"],
        "manifest_digest": cv["manifest_digest"],
        "seeds": cv["seeds"],
        "folds": len(conversions) // seeds,
        "parameters": conversions[0].run.record["model"].get("parameters"),
        "file_bytes": max((each.run.folder / INT8).stat().st_size for each in conversions),
        "utterances": len({each.path for each in utterances}),
        "speakers": len(set(speakers)),
        **{
            name: {
                "float": float_figures[name],
                "int8": int8_figures[name],
                "interval": int8_figures[f"{name}_interval"],
                "float_interval": float_figures[f"{name}_interval"],
                "loss_interval": difference_interval(
                    true, said["float"], said["int8"], speakers, len(labels), figure
                ),
            }
            for name, figure in (("uar", uar), ("wa", wa))
        },
        "per_seed": _per_seed(conversions, heard, labels),
        "per_class": {
            label: {
                **entry,
                "utterances": entry["utterances"] // seeds,
                "recall_float": float_figures["per_class"][label]["recall"],
            }
            for label, entry in int8_figures["per_class"].items()
        },
        **{
            name: {
                part: {
                    **entry,
                    "utterances": entry["utterances"] // seeds,
                    "uar_float": float_figures[name][part]["uar"],
                    "wa_float": float_figures[name][part]["wa"],
                }
                for part, entry in int8_figures[name].items()
            }
            for name in ("per_gender", "per_corpus", "per_speaker")
        },
        "confusion": int8_figures["confusion"],
        "top_3": int8_figures["top_3"],
        "folds_parity": parity,
        "calibration": {
            "temperature": temperature,
            "abstain_below": fit_threshold(calibrated, true),
            "typical_logits": typical_logits(logits.ints, owners, true, labels),
            **cross_fitted(logits.ints, owners, true, speakers),
        },
    }


def _per_seed(
    conversions: list[Conversion], heard: np.ndarray[Any, np.dtype[np.float64]], labels: list[str]
) -> dict[str, Any]:
    """UAR and WA of each seed in int8: how far training's own chance moves them."""
    counts: dict[str, Any] = {}
    start = 0
    for conversion in conversions:
        said = heard[start : start + len(conversion.checked)].argmax(axis=1)
        start += len(said)
        seed = str(conversion.run.record["seed"])
        counts[seed] = counts.get(seed, 0) + confusion(conversion.true, said, len(labels))
    return {seed: {"uar": uar(each), "wa": wa(each)} for seed, each in counts.items()}
