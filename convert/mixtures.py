"""Inputs on which a model hesitates as it does with strangers, made of utterances that it was trained on.

Of what it was trained on a model is sure, and no rounding changes a label; of a stranger it often is not. On
the way from one training utterance to another of a different class it has to change its mind: mixtures of
two, the nearer one's share drawn evenly from a half to all, are as undecided as held-out speakers are
(docs/converter.md has the figures). The mixing is that of mixup (Zhang et al., ICLR 2018), of standardised
features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convert.data import Inputs
from convert.ir import Float
from train.utterance import Utterance

MIXTURES = 400


def mixtures(
    inputs: Inputs, utterances: Sequence[Utterance], seed: int = 0
) -> tuple[Inputs, list[Utterance]]:
    """``MIXTURES`` of the ``utterances`` that ``inputs`` are of, window by window as far as both last, and
    the utterance whose label each has: the one that makes up most of it.

    Each utterance is the nearer one equally often; the other is of another class, if there is any. A sequence
    of a step model lasts as long as the shorter of its two.
    """
    rng = np.random.default_rng(seed)
    own = [np.flatnonzero(inputs.owners == index) for index in range(len(utterances))]
    emotions = np.array([utterance.emotion for utterance in utterances])
    features: list[Float] = []
    owners: list[int] = []
    nearer: list[Utterance] = []
    for number in range(MIXTURES):
        first = number % len(utterances)
        others = np.flatnonzero(emotions != emotions[first])
        second = int(rng.choice(others)) if len(others) else first
        share = np.float32(rng.uniform(0.0, 0.5))
        for one, other in zip(own[first], own[second], strict=False):
            a, b = inputs.features[one], inputs.features[other]
            frames = min(len(a), len(b))
            features.append((1 - share) * a[:frames] + share * b[:frames])
            owners.append(number)
        nearer.append(utterances[first])
    return Inputs(features, np.array(owners, np.int64), repeat_frames=inputs.repeat_frames), nearer
