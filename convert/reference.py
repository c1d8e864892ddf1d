"""Where the training voices lie on average: what a profile of a speaker and a room is compared with
(docs/daemon.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convert.data import Source
from train.utterance import Utterance


def reference(source: Source, utterances: Sequence[Utterance]) -> dict[str, list[float]]:
    """Mean of each feature over the sound of the utterances (no padding), and over the neutral ones alone.

    Every speaker weighs the same. ``neutral`` is what half a minute of plain reading is compared with,
    ``speech`` what hours of listening are.
    """
    by_speaker: dict[tuple[str, str], dict[str, list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]]] = {}
    for utterance in utterances:
        frames = source.extractor.frontend.process(source.extractor.samples(utterance))
        kinds = by_speaker.setdefault((utterance.corpus, utterance.speaker), {"speech": []})
        kinds["speech"].append(frames)
        if utterance.emotion == "neutral":
            kinds.setdefault("neutral", []).append(frames)
    means: dict[str, list[float]] = {}
    for kind in ("speech", "neutral"):
        of_speakers = [
            np.concatenate(kinds[kind]).mean(axis=0) for kinds in by_speaker.values() if kind in kinds
        ]
        if of_speakers:
            means[kind] = [round(float(value), 5) for value in np.mean(of_speakers, axis=0)]
    return means
