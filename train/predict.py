"""Scores of utterances: the softmax of every window or segment, averaged over the utterance. A recipe's warps
are heard too: the logits of a window are the mean over its hearings.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.arrays import Scores
from train.dataset import Normalisation, padded, test_inputs
from train.features import Extractor
from train.hearings import Hearings
from train.recipe import Recipe
from train.utterance import Utterance

BATCH = 64


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Softmax over the last axis in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


class Predictor:
    """Holds the test inputs of some utterances, so that a model can be asked again after every epoch."""

    def __init__(
        self, recipe: Recipe, extractor: Extractor, normalise: Normalisation, utterances: Sequence[Utterance]
    ) -> None:
        self.n_labels = len(recipe.data.labels)
        warps = recipe.input.warps
        self.hearings = Hearings.of(extractor.options, warps, normalise.mean, normalise.std)
        inputs = [test_inputs(extractor, normalise, each, recipe.fit.test_time_shifts) for each in utterances]
        self.owners = np.repeat(np.arange(len(inputs)), [len(each) for each in inputs])
        flat = [window for each in inputs for window in each]
        # Like lengths share a batch, so that little is padding; windows and segments are all alike.
        order = np.argsort([len(each) for each in flat], kind="stable")
        self.batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        self.inputs = [padded([flat[i] for i in batch]) for batch in self.batches]
        self.count = len(inputs)

    def scores(self, model: Any, warped: bool = True) -> Scores:
        """One distribution over the labels per utterance; a class "silence" is left out and the rest
        rescaled. Unless ``warped`` every window is heard once, whatever the recipe's warps.
        """
        hearings = self.hearings if warped else Hearings()
        total = np.zeros((self.count, self.n_labels))
        for batch, inputs in zip(self.batches, self.inputs, strict=True):
            logits = hearings.mean(lambda heard: _logits(model, heard[0]), [inputs])
            np.add.at(total, self.owners[batch], softmax(logits)[:, : self.n_labels])
        return np.asarray(total / total.sum(axis=1, keepdims=True))


def _logits(model: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    outputs = model.predict_on_batch(inputs)
    return np.asarray(outputs["emotion"] if isinstance(outputs, dict) else outputs)


def write_predictions(
    path: Path, labels: Sequence[str], utterances: Sequence[Utterance], scores: Scores
) -> None:
    """CSV: path, corpus, speaker, true label, predicted label, a score per label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "corpus", "speaker", "emotion", "predicted", *labels])
        for utterance, row in zip(utterances, scores, strict=True):
            best = labels[int(row.argmax())]
            # repr, not rounded: scores read back are the scores written, and ties stay ties
            writer.writerow(
                [
                    utterance.path,
                    utterance.corpus,
                    utterance.speaker,
                    utterance.emotion,
                    best,
                    *map(repr, row.tolist()),
                ]
            )


def read_scores(path: Path) -> Scores:
    """The scores [utterances, labels] of a file that :func:`write_predictions` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return np.array([[float(value) for value in row[5:]] for row in rows[1:]], dtype=np.float64)
