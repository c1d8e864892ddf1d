"""From the scores of single windows to what is announced: smoothing, hysteresis, "uncertain", "no speech"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ser.live.events import NO_SPEECH, UNCERTAIN

HOLD = 2  # windows in a row that must agree before a label is replaced


class Decision:
    """The announced label and how it came about.

    Probabilities are averaged with a time constant of ``smoothing_s`` of speech. A label is replaced when
    another one (or "uncertain") leads for two windows, by at least ``margin``; the first label after silence
    is announced at once.
    """

    def __init__(
        self, labels: Sequence[str], *, smoothing_s: float, margin: float, uncertain_below: float
    ) -> None:
        self.label = NO_SPEECH
        self._labels = list(labels)
        self._smoothing_s = smoothing_s
        self._margin = margin
        self._uncertain_below = uncertain_below
        self._smoothed: NDArray[np.float64] | None = None
        self._candidate = ""
        self._agreed = 0

    @property
    def scores(self) -> dict[str, float]:
        """Smoothed probability by label; empty while nobody speaks."""
        if self._smoothed is None:
            return {}
        return dict(zip(self._labels, self._smoothed.tolist(), strict=True))

    @property
    def probability(self) -> float:
        """That of the announced label; the highest one while uncertain; 0 while nobody speaks."""
        scores = self.scores
        return scores.get(self.label, max(scores.values(), default=0.0))

    def hear(self, probabilities: NDArray[np.floating], since_last_s: float) -> bool:
        """Take a window's probabilities; True when the announced label changed."""
        window = probabilities.astype(np.float64)
        if self._smoothed is None:
            self._smoothed = window
        else:
            new = 1.0 if self._smoothing_s <= 0 else 1 - math.exp(-since_last_s / self._smoothing_s)
            self._smoothed += new * (window - self._smoothed)
        top = int(self._smoothed.argmax())
        candidate = self._labels[top]
        if self._smoothed[top] < self._uncertain_below:
            candidate = UNCERTAIN
        self._agreed = self._agreed + 1 if candidate == self._candidate else 1
        self._candidate = candidate
        if candidate == self.label:
            return False
        if self.label != NO_SPEECH:
            lead = self._smoothed[top] - self.scores.get(self.label, 0.0)
            if self._agreed < HOLD or (candidate != UNCERTAIN and lead < self._margin):
                return False
        self.label = candidate
        return True

    def silence(self) -> bool:
        """Nobody speaks; True when that is news. What was said before no longer counts."""
        news = self.label != NO_SPEECH
        self.label, self._smoothed, self._candidate, self._agreed = NO_SPEECH, None, "", 0
        return news
