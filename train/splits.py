"""Who is trained on and who is tested on; and the check that nobody stands on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_ser.errors import ConfigError
from train.recipe import Evaluation
from train.utterance import Utterance

SPEAKER_DEPENDENT = "speaker-dependent"
SPEAKER_INDEPENDENT = "speaker-independent"


@dataclass(frozen=True)
class Fold:
    """One division of the utterances; ``train`` and ``test`` are indices."""

    name: str
    train: list[int]
    test: list[int]


def protocol(evaluation: Evaluation) -> str:
    """The protocol in words, with what it is worth: printed wherever a figure of it is."""
    return {
        "loso": f"leave one speaker out ({SPEAKER_INDEPENDENT})",
        "group-kfold": f"{evaluation.folds} folds of speakers ({SPEAKER_INDEPENDENT})",
        "random-kfold": f"{evaluation.folds} random folds ({SPEAKER_DEPENDENT})",
        "leave-one-corpus-out": "leave one corpus out (unseen corpora)",
    }[evaluation.split]


def make_folds(utterances: Sequence[Utterance], evaluation: Evaluation, seed: int) -> list[Fold]:
    """The folds of a protocol, in an order that depends on the utterances and ``seed`` only.

    Speakers are dealt to "group-kfold" folds by size, largest first, each to the fold with the fewest
    utterances; "random-kfold" deals the utterances of each class in turn. Raises ConfigError when there are
    too few of either.
    """
    if evaluation.split == "random-kfold":
        assignment = _random_assignment(utterances, evaluation.folds, seed)
        folds = _folds(assignment, [f"fold {number:02d}" for number in range(1, evaluation.folds + 1)])
        return _checked(utterances, folds, speakers=False)
    if evaluation.split == "leave-one-corpus-out":
        corpora = sorted({utterance.corpus for utterance in utterances})
        if len(corpora) < 2:
            raise ConfigError("leave-one-corpus-out needs two corpora or more in data.corpora")
        folds = _folds([corpora.index(utterance.corpus) for utterance in utterances], corpora)
        return _checked(utterances, folds, speakers=True)
    speakers = sorted({utterance.speaker_id for utterance in utterances})
    n_folds = len(speakers) if evaluation.split == "loso" else evaluation.folds
    if len(speakers) < max(n_folds, 2):
        raise ConfigError(f"{n_folds} folds of speakers need as many speakers; there are {len(speakers)}")
    if evaluation.split == "loso":
        fold_of = {speaker: number for number, speaker in enumerate(speakers)}
        names = speakers
    else:
        fold_of = _deal_speakers(utterances, speakers, n_folds, seed)
        names = [f"fold {number:02d}" for number in range(1, n_folds + 1)]
    folds = _folds([fold_of[utterance.speaker_id] for utterance in utterances], names)
    return _checked(utterances, folds, speakers=True)


def _checked(utterances: Sequence[Utterance], folds: list[Fold], speakers: bool) -> list[Fold]:
    for fold in folds:
        check_leaks([utterances[i] for i in fold.train], [utterances[i] for i in fold.test], speakers)
    return folds


def _folds(assignment: Sequence[int], names: Sequence[str]) -> list[Fold]:
    return [
        Fold(
            name,
            [index for index, fold in enumerate(assignment) if fold != number],
            [index for index, fold in enumerate(assignment) if fold == number],
        )
        for number, name in enumerate(names)
    ]


def _random_assignment(utterances: Sequence[Utterance], n_folds: int, seed: int) -> list[int]:
    """Byte-identical recordings go to one fold: whatever else it mixes, a random split shares no file."""
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, utterance in enumerate(utterances):
        groups[utterance.sha256 or utterance.path].append(index)
    if len(groups) < n_folds:
        raise ConfigError(f"{n_folds} folds need as many utterances; there are {len(groups)}")
    keys = sorted(groups)
    order = [keys[i] for i in rng.permutation(len(keys))]
    order.sort(key=lambda key: utterances[groups[key][0]].emotion)  # stable: random within a class
    assignment = [0] * len(utterances)
    for position, key in enumerate(order):
        for index in groups[key]:
            assignment[index] = position % n_folds
    return assignment


def _deal_speakers(
    utterances: Sequence[Utterance], speakers: Sequence[str], n_folds: int, seed: int
) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    count = {speaker: sum(each.speaker_id == speaker for each in utterances) for speaker in speakers}
    shuffled = [speakers[i] for i in rng.permutation(len(speakers))]
    filled = [0] * n_folds
    fold_of = {}
    for speaker in sorted(shuffled, key=lambda each: -count[each]):
        fold = int(np.argmin(filled))
        fold_of[speaker] = fold
        filled[fold] += count[speaker]
    return fold_of


def check_leaks(train: Sequence[Utterance], test: Sequence[Utterance], speakers: bool = True) -> None:
    """Raise ConfigError when a recording, or (unless ``speakers`` is False) a speaker, is in both lists."""
    if speakers:
        both = {each.speaker_id for each in train} & {each.speaker_id for each in test}
        if both:
            raise ConfigError(f"leak: speaker {min(both)} is in the training and in the test data")
    files = {each.sha256: each.path for each in train if each.sha256}
    for utterance in test:
        twin = files.get(utterance.sha256) if utterance.sha256 else None
        if twin is not None:
            raise ConfigError(
                f"leak: {utterance.path} of the test data is byte-identical to {twin} in training"
            )
    paths = {each.path for each in train} & {each.path for each in test}
    if paths:
        raise ConfigError(f"leak: {min(paths)} is in the training and in the test data")
