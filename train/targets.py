"""What each head of a network is asked for, and how much each utterance counts for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.models import BRANCHES
from train.recipe import Recipe
from train.utterance import Utterance

SILENCE = "silence"
GENDERS = ("female", "male")
INTENSITIES = ("normal", "strong")
DIMENSIONS = ("valence", "arousal", "dominance")
_INTENSITY = {"low": "normal", "normal": "normal", "medium": "normal", "strong": "strong"}


def classes_of(recipe: Recipe) -> list[str]:
    """The classes of the emotion head: the labels, and silence where the recipe makes it a class of
    its own.
    """
    return [*recipe.data.labels, SILENCE] if recipe.input.silence == "class" else list(recipe.data.labels)


def head_widths(recipe: Recipe) -> dict[str, int]:
    """Outputs of each further head: two classes for gender and intensity, one number for a
    dimension, all classes for a branch.
    """
    widths = dict.fromkeys(DIMENSIONS, 1) | dict.fromkeys(BRANCHES, len(classes_of(recipe)))
    return {head: widths.get(head, 2) for head in recipe.model.heads}


@dataclass(frozen=True)
class Opinions:
    """What an encoder says (train/encoder.py): ``said`` [recordings, labels], each row of sum 1, first of the
    labelled recordings that are learnt from, then of the ``further`` ones.
    """

    said: NDArray[np.float64]
    further: list[Utterance]


class Targets:
    """Targets and weights for the utterances of a training set.

    emotion and its branches: one-hot; the weight is the class weight times the corpus weight, of mean 1 over
    the set. gender, intensity: one-hot. valence, arousal, dominance: (x - 3) / 2, which takes IEMOCAP's 1 … 5
    to -1 … 1. An utterance of which a head's truth is unknown has weight 0 there.

    With ``opinions`` their share is blended into the emotion. Further utterances, behind the others, have the
    opinion alone; those of a corpus weigh together at most what its labelled ones do.
    """

    def __init__(
        self, recipe: Recipe, utterances: Sequence[Utterance], opinions: Opinions | None = None
    ) -> None:
        classes = classes_of(recipe)
        emotion = _one_hot([each.emotion for each in utterances], classes)
        weights = _emotion_weights(recipe, utterances)
        if opinions:
            share, opinion = np.float32(recipe.encoder.weight), opinions.said.astype(np.float32)
            emotion = np.concatenate(
                [(1 - share) * emotion + share * opinion[: len(emotion)], opinion[len(emotion) :]]
            )
            weights = np.concatenate([weights, _further_weights(utterances, weights, opinions.further)])
            utterances = [*utterances, *opinions.further]
        self._targets, self._weights = {"emotion": emotion}, {"emotion": weights}
        for head in recipe.model.heads:
            if head in BRANCHES:
                self._targets[head], self._weights[head] = self._targets["emotion"], self._weights["emotion"]
                continue
            if head in DIMENSIONS:
                values = [getattr(each, head) for each in utterances]
                known = [value is not None for value in values]
                numbers = [[0.0 if value is None else (value - 3.0) / 2.0] for value in values]
                self._targets[head] = np.array(numbers, dtype=np.float32)
            else:
                names = GENDERS if head == "gender" else INTENSITIES
                said = [
                    each.gender if head == "gender" else _INTENSITY.get(each.intensity, "")
                    for each in utterances
                ]
                known = [name in names for name in said]
                self._targets[head] = _one_hot(said, names)
            self._weights[head] = np.array(known, dtype=np.float32)

    def of(
        self, indices: Sequence[int]
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Targets and weights of the utterances at ``indices``, head by head, as copies."""
        rows = np.asarray(indices)
        return (
            {name: each[rows] for name, each in self._targets.items()},
            {name: each[rows] for name, each in self._weights.items()},
        )


def _further_weights(
    utterances: Sequence[Utterance], weights: NDArray[np.float32], further: Sequence[Utterance]
) -> NDArray[np.float32]:
    """The mean weight of the labelled utterances of a corpus, less where there are fewer of them than further
    ones.
    """
    corpora = np.array([each.corpus for each in utterances])
    counts = Counter(each.corpus for each in further)
    of_corpus = {
        name: weights[corpora == name].sum() / max(n, (corpora == name).sum()) for name, n in counts.items()
    }
    return np.array([of_corpus[each.corpus] for each in further], dtype=np.float32)


def _one_hot(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    result = np.zeros((len(names), len(classes)), dtype=np.float32)
    for row, name in enumerate(names):
        if name in classes:
            result[row, classes.index(name)] = 1.0
    return result


def _emotion_weights(recipe: Recipe, utterances: Sequence[Utterance]) -> NDArray[np.float32]:
    weights = np.ones(len(utterances))
    if recipe.fit.corpus_weights == "equal":
        corpora = Counter(each.corpus for each in utterances)
        weights *= [1.0 / corpora[each.corpus] for each in utterances]
    if recipe.fit.class_weights != "none":
        power = 0.5 if recipe.fit.class_weights == "inverse_sqrt" else 1.0
        counts = Counter(each.emotion for each in utterances)
        weights *= [counts[each.emotion] ** -power for each in utterances]
    return np.asarray(weights / weights.mean(), dtype=np.float32)
