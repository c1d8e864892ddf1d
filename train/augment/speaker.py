"""What a profile does to a speaker's features (edge_ser.adaptation), done to the training voices as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from train.arrays import Features
from train.utterance import Utterance


@dataclass(frozen=True)
class SpeakerMean:
    """Move the speaker's mean to that of all training speakers, as far as a few other clips tell it.

    From ``min_clips`` to ``max_clips`` other recordings of the speaker: of any emotion, or neutral ones alone
    where there are enough, in turn. c0, the level, stays. The network learns to be asked with a profile and
    without one.
    """

    domain: ClassVar[str] = "speaker"
    probability: float = 0.5
    min_clips: int = 4
    max_clips: int = 16


class Voices:
    """The mean feature vectors of the training utterances, by speaker and by what they may stand for."""

    def __init__(self, utterances: Sequence[Utterance], features: Sequence[Features]) -> None:
        """``features``: each utterance's frames [frames, features] without padding."""
        self.utterances = list(utterances)
        self.means = np.array([each.mean(axis=0, dtype=np.float64) for each in features])
        self.of_kind: list[dict[tuple[str, str], list[int]]] = []
        self.reference: list[NDArray[np.float64]] = []
        for kind in ("any", "neutral"):
            by_speaker: dict[tuple[str, str], list[int]] = defaultdict(list)
            for index, each in enumerate(self.utterances):
                if kind == "any" or each.emotion == kind:
                    by_speaker[each.corpus, each.speaker].append(index)
            if by_speaker:
                self.of_kind.append(dict(by_speaker))
                self.reference.append(
                    np.mean([self.means[chosen].mean(axis=0) for chosen in by_speaker.values()], axis=0)
                )

    def offset(self, index: int, augmentation: SpeakerMean, rng: np.random.Generator) -> Features | None:
        """What to subtract from every frame of utterance ``index``; None where nothing is to be."""
        if rng.random() >= augmentation.probability:
            return None
        speaker = (self.utterances[index].corpus, self.utterances[index].speaker)
        kind = int(rng.integers(len(self.of_kind)))
        wanted = int(rng.integers(augmentation.min_clips, augmentation.max_clips + 1))
        others = [each for each in self.of_kind[kind].get(speaker, []) if each != index]
        if len(others) < augmentation.min_clips:
            return None
        chosen = rng.choice(others, min(wanted, len(others)), replace=False)
        offset: Features = (self.means[chosen].mean(axis=0) - self.reference[kind]).astype(np.float32)
        offset[0] = 0.0
        return offset
