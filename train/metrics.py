"""Figures from predictions: what is right, for whom, and how sure one can be of it.

UAR is the unweighted average recall (mean of the classes' recalls), WA the weighted accuracy (share that is
right). A class without a true utterance does not count in macro means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.arrays import Labels, Scores
from train.utterance import Utterance

BOOTSTRAPS = 2000
ECE_BINS = 15


def confusion(true: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """Counts [n_classes, n_classes]: rows are the true classes, columns the predicted ones."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def uar(counts: NDArray[Any]) -> float:
    """Unweighted average recall of a confusion matrix; nan when it is empty."""
    totals = counts.sum(axis=1)
    present = totals > 0
    return float(np.mean(np.diag(counts)[present] / totals[present])) if present.any() else float("nan")


def wa(counts: NDArray[Any]) -> float:
    """Weighted accuracy of a confusion matrix; nan when it is empty."""
    return float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan")


def expected_calibration_error(true: Labels, scores: Scores, n_bins: int = ECE_BINS) -> float:
    """ECE (Guo et al., ICML 2017): mean gap between confidence and accuracy in equal bins of confidence."""
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == true
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(right[bins == index].mean() - confidence[bins == index].mean()) * (bins == index).mean()
        for index in np.unique(bins)
    ]
    return float(sum(gaps))


def top_k_accuracy(true: Labels, scores: Scores, k: int) -> float:
    """Share of utterances whose true class is among the ``k`` best scored."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == true[:, None]).any(axis=1)))


def per_class(counts: NDArray[Any], labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and the number of true utterances of each class; 0 for what is never
    predicted.
    """
    result = {}
    for index, label in enumerate(labels):
        hit, true, said = counts[index, index], counts[index].sum(), counts[:, index].sum()
        precision = float(hit / said) if said else 0.0
        recall = float(hit / true) if true else 0.0
        f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
        result[label] = {"precision": precision, "recall": recall, "f1": f1, "utterances": int(true)}
    return result


def bootstrap_interval(
    true: Labels,
    predicted: Labels,
    groups: Sequence[str],
    n_classes: int,
    figure: Callable[[NDArray[Any]], float],
    seed: int = 0,
) -> list[float]:
    """95 % interval of a figure of the confusion matrix when ``groups`` (speakers) are drawn with
    replacement.
    """
    return interval_of(bootstrap_draws(true, predicted, groups, n_classes, figure, seed))


def difference_interval(
    true: Labels,
    one: Labels,
    other: Labels,
    groups: Sequence[str],
    n_classes: int,
    figure: Callable[[NDArray[Any]], float],
) -> list[float]:
    """95 % interval of what ``one``'s figure has more than ``other``'s, the same groups drawn for both."""
    first, second = (bootstrap_draws(true, each, groups, n_classes, figure) for each in (one, other))
    return interval_of(first - second)


def interval_of(draws: NDArray[np.float64]) -> list[float]:
    """The 95 % interval of what was drawn."""
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return [float(low), float(high)]


def bootstrap_draws(
    true: Labels,
    predicted: Labels,
    groups: Sequence[str],
    n_classes: int,
    figure: Callable[[NDArray[Any]], float],
    seed: int = 0,
) -> NDArray[np.float64]:
    """The figure in each of ``BOOTSTRAPS`` drawings of ``groups``: the same ones for the same ``groups`` and
    ``seed``, so that differences may be taken draw by draw.
    """
    names = sorted(set(groups))
    members = np.array([names.index(group) for group in groups])
    matrices = np.stack(
        [confusion(true[members == i], predicted[members == i], n_classes) for i in range(len(names))]
    )
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(names), (BOOTSTRAPS, len(names)))
    return np.array([figure(matrices[draw].sum(axis=0)) for draw in draws])


def evaluate(
    utterances: Sequence[Utterance], true: Labels, scores: Scores, labels: Sequence[str]
) -> dict[str, Any]:
    """Every figure that a report shows, from one score row per utterance, pooled over folds (and seeds) as
    given.
    """
    predicted = scores.argmax(axis=1)
    n = len(labels)
    counts = confusion(true, predicted, n)
    classes = per_class(counts, labels)
    present = [each for each in classes.values() if each["utterances"]]
    speakers = [utterance.speaker_id for utterance in utterances]

    def part(key: Callable[[Utterance], str]) -> dict[str, dict[str, float]]:
        keys = np.array([key(utterance) for utterance in utterances])
        parts = {}
        for name in sorted(set(keys) - {""}):
            own = confusion(true[keys == name], predicted[keys == name], n)
            parts[str(name)] = {"uar": uar(own), "wa": wa(own), "utterances": int(own.sum())}
        return parts

    return {
        "uar": uar(counts),
        "uar_interval": bootstrap_interval(true, predicted, speakers, n, uar),
        "wa": wa(counts),
        "wa_interval": bootstrap_interval(true, predicted, speakers, n, wa),
        "macro_precision": float(np.mean([each["precision"] for each in present])),
        "macro_recall": float(np.mean([each["recall"] for each in present])),
        "macro_f1": float(np.mean([each["f1"] for each in present])),
        "top_3": top_k_accuracy(true, scores, 3),
        "ece": expected_calibration_error(true, scores),
        "confusion": counts.tolist(),
        "per_class": classes,
        "per_gender": part(lambda each: each.gender),
        "per_corpus": part(lambda each: each.corpus),
        "per_speaker": part(lambda each: each.speaker_id),
        "utterances": len(utterances),
        "speakers": len(set(speakers)),
    }
