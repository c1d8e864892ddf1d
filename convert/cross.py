"""A cross-validation in int8: every fold converted, its held-out speakers heard by the product's own chain,
pooled.

The result is what a model card quotes, and where temperature and abstain threshold come from.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convert.confidence import cross_fitted, fit_temperature, fit_threshold
from convert.parity import Logits, compare, utterance_scores
from convert.pipeline import Conversion, Settings, convert, model_bytes
from convert.run import read_run
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from train.metrics import evaluate
from train.utterance import Utterance


def convert_folds(folder: Path, settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Convert and evaluate every fold of the cross-validation in ``folder``; the evaluation for model
    records.
    """
    try:
        cv = json.loads((folder / "cv.json").read_text(encoding="utf-8"))
        names = [fold["folder"] for fold in cv["folds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: not a finished cross-validation ({error}); run python -m train cv"
        ) from None
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


def _hear(conversion: Conversion, root: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores [utterances, classes] of the fold's model file, from recording to answer as on a device."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fold.tflite"
        path.write_bytes(model_bytes(conversion, "fold")[0])
        classifier = Classifier(model=str(path))
        rows = []
        for utterance in conversion.checked:
            prediction = classifier.classify(str(root / utterance.path))
            rows.append([prediction.scores[label] for label in conversion.run.labels])
    return np.array(rows, np.float64)


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
    parity = compare(logits, owners, true, labels, f"the held-out speakers of all {len(conversions)} folds")
    plain = utterance_scores(logits.ints, owners)
    parity["chain_agreement"] = float((plain.argmax(axis=1) == heard.argmax(axis=1)).mean())
    return {
        "protocol": cv["protocol"],
        "recipe": cv["recipe_name"],
        "git_commit": cv["git_commit"],
        "manifest_digest": cv["manifest_digest"],
        "seeds": cv["seeds"],
        "folds": len(conversions),
        "utterances": len({each.path for each in utterances}),
        "speakers": len(set(speakers)),
        **{
            name: {
                "float": float_figures[name],
                "int8": int8_figures[name],
                "interval": int8_figures[f"{name}_interval"],
                "float_interval": float_figures[f"{name}_interval"],
            }
            for name in ("uar", "wa")
        },
        "per_class": {
            label: {**entry, "recall_float": float_figures["per_class"][label]["recall"]}
            for label, entry in int8_figures["per_class"].items()
        },
        **{
            name: int8_figures[name]
            for name in ("per_gender", "per_corpus", "per_speaker", "confusion", "top_3")
        },
        "folds_parity": parity,
        "calibration": {
            "temperature": temperature,
            "abstain_below": fit_threshold(calibrated, true),
            **cross_fitted(logits.ints, owners, true, speakers),
        },
    }
