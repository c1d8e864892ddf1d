"""Turns scores into probabilities that mean what they say, and finds where an answer is worth less than none.

Both are fitted on predictions for speakers that the predicting model was not trained on (out-of-fold
predictions of a cross-validation), never on data whose figures are reported: ``cross_fitted`` keeps the two
apart speaker by speaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convert.ir import Float
from convert.parity import Labels, utterance_scores
from train.metrics import expected_calibration_error

LOWEST, HIGHEST = 0.25, 8.0
MAX_ABSTAINED = 0.2
MIN_BELOW = 10  # utterances, below which nothing is concluded


def calibration_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The calibration that a model gets: by strangers where they were heard, else by a cross-validation.

    A device hears people and rooms that no training corpus holds, and there a network is surer than it
    should be.
    """
    of_strangers = evaluation.get("strangers", {}).get("calibration")
    return dict(of_strangers or evaluation.get("calibration", {}))


def fit_temperature(logits: Float, owners: Labels, true: Labels) -> float:
    """The temperature with the least negative log likelihood (Guo et al., ICML 2017), by golden section over
    log T.
    """
    ratio = (np.sqrt(5.0) - 1) / 2
    a, b = np.log(LOWEST), np.log(HIGHEST)
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    loss_c, loss_d = _loss(logits, owners, true, c), _loss(logits, owners, true, d)
    while b - a > 1e-4:
        if loss_c < loss_d:
            b, d, loss_d = d, c, loss_c
            c = b - ratio * (b - a)
            loss_c = _loss(logits, owners, true, c)
        else:
            a, c, loss_c = c, d, loss_d
            d = a + ratio * (b - a)
            loss_d = _loss(logits, owners, true, d)
    return round(float(np.exp((a + b) / 2)), 4)


def _loss(logits: Float, owners: Labels, true: Labels, log_temperature: float) -> float:
    scores = utterance_scores(logits, owners, float(np.exp(log_temperature)))
    return float(-np.log(np.maximum(scores[np.arange(len(true)), true], 1e-12)).mean())


def fit_threshold(scores: np.ndarray[Any, np.dtype[np.float64]], true: Labels) -> float:
    """The largest probability below which fewer than half of the answers are right; 0 where there is none.

    At most a fifth of the utterances may fall below, so that a weak model still answers.
    """
    best = scores.max(axis=1)
    right = scores.argmax(axis=1) == true
    order = np.argsort(best, kind="stable")
    below = np.arange(1, len(order) + 1)
    share = np.cumsum(right[order]) / below
    allowed = (share < 0.5) & (below >= MIN_BELOW) & (below <= MAX_ABSTAINED * len(order))
    if not allowed.any():
        return 0.0
    last = int(np.flatnonzero(allowed)[-1])
    return round(float((best[order[last]] + best[order[min(last + 1, len(order) - 1)]]) / 2), 4)


def typical_logits(logits: Float, owners: Labels, true: Labels, labels: list[str]) -> dict[str, list[float]]:
    """What a model answers to strangers on average: to neutral speech, and to ``speech`` of all its labels
    alike. A profile's leaning is told from it (edge_ser.adaptation).
    """
    of_utterances = np.array([logits[owners == owner].mean(axis=0) for owner in range(len(true))])
    of_labels = np.array([of_utterances[true == label].mean(axis=0) for label in np.unique(true)])
    typical = {"speech": of_labels.mean(axis=0)}
    if "neutral" in labels and (true == labels.index("neutral")).any():
        typical["neutral"] = of_utterances[true == labels.index("neutral")].mean(axis=0)
    return {kind: [round(float(value), 4) for value in values] for kind, values in typical.items()}


def mean_typical(several: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """The mean of what models of several corpora or folds answer."""
    return {
        kind: np.mean([each[kind] for each in several], axis=0).round(4).tolist()
        for kind in ("speech", "neutral")
        if several and all(kind in each for each in several)
    }


def cross_fitted(logits: Float, owners: Labels, true: Labels, speakers: list[str]) -> dict[str, float]:
    """What calibration gives: each speaker is scored with temperature and threshold fitted on all others.

    Empty for a single speaker, who has no others.
    """
    if len(set(speakers)) < 2:
        return {}
    names = np.array(speakers)
    scores = np.zeros((len(true), logits.shape[1]))
    answered = np.zeros(len(true), bool)
    for name in sorted(set(speakers)):
        inside = names != name
        temperature = fit_temperature(*_part(logits, owners, true, inside))
        threshold = fit_threshold(utterance_scores(logits, owners, temperature)[inside], true[inside])
        own = utterance_scores(logits, owners, temperature)[~inside]
        scores[~inside] = own
        answered[~inside] = own.max(axis=1) >= threshold
    right = scores.argmax(axis=1) == true
    plain = utterance_scores(logits, owners)
    return {
        "ece_before": expected_calibration_error(true, plain),
        "ece_after": expected_calibration_error(true, scores),
        "answered": float(answered.mean()),
        "accuracy_of_all": float(right.mean()),
        "accuracy_of_answers": float(right[answered].mean()) if answered.any() else 0.0,
        "accuracy_of_the_uncertain": float(right[~answered].mean()) if (~answered).any() else 0.0,
    }


def _part(logits: Float, owners: Labels, true: Labels, inside: Any) -> tuple[Float, Labels, Labels]:
    rows = inside[owners]
    renumbered = np.cumsum(inside) - 1
    return logits[rows], renumbered[owners[rows]], true[inside]
