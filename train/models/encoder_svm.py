"""A linear SVM on what a large speech encoder hears (train/encoder.py; extra ``encoder``): what eight million
weights know, by the protocol of the compact networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train import encoder
from train.arrays import Scores
from train.predict import softmax
from train.recipe import Recipe
from train.run_folder import begin, finish_scored
from train.utterance import Utterance

KIND = "svm"
FORM = "statistics"


@dataclass(frozen=True)
class Options:
    """``c`` is the SVM's; statistics are standardised by the training data, corpora and classes weighed
    alike.
    """

    c: float = 1e-3


def fit(
    recipe: Recipe,
    train: Sequence[Utterance],
    held_out: Sequence[Utterance],
    root: Path,
    folder: Path,
    seed: int = 0,
    command: str = "",
    quiet: bool = False,
) -> None:
    """Train the SVM on ``train`` and score ``held_out``; the run holds figures and predictions, but
    no model.
    """
    work = begin(folder, recipe, train, held_out, seed, command)
    labels = recipe.data.labels
    scores: Scores = np.empty((0, len(labels)))
    if held_out:
        learnt = encoder.statistics(train, root)
        mean, std = learnt.mean(axis=0), np.maximum(learnt.std(axis=0), 1e-6)
        margins = encoder.svm_margins(
            (learnt - mean) / std,
            np.array([labels.index(each.emotion) for each in train]),
            np.array([each.corpus for each in train]),
            len(labels),
            Options(**recipe.model.options).c,
            (encoder.statistics(held_out, root) - mean) / std,
        )
        scores = softmax(margins)
    description = {"model": {"kind": KIND, "form": FORM, "architecture": recipe.model.architecture}}
    finish_scored(work, folder, recipe, held_out, scores, description)
