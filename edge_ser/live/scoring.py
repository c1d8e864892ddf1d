"""How a stretch of live audio becomes probabilities, for both forms of model.

The window form runs the front end and the graph over the whole window each time. The front end is so fast
that keeping features from window to window would save three hundredths of a percent of a core
(docs/daemon.md), and would be wrong wherever a convention looks at the whole window (padding at its edges,
normalisation over the utterance). The step form carries its state and sees each sample once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_ser.engine import Engine

Between = Callable[[int, int], NDArray[np.float32]]


class Scorer(Protocol):
    """Scores one utterance after another."""

    def begin(self, onset: int) -> None:
        """A new utterance starts at this position of the stream."""
        ...

    def score(self, between: Between, begin: int, end: int) -> NDArray[np.float32]:
        """Probabilities [classes] of positions ``begin`` to ``end``; ``between`` gives the samples."""
        ...


class WindowScorer:
    """The window form: what ``Classifier.classify`` gives for the same piece of audio."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, onset: int) -> None:
        """Nothing is kept from one window to the next."""

    def score(self, between: Between, begin: int, end: int) -> NDArray[np.float32]:
        samples = between(begin, end)
        engine = self._engine
        return engine.probabilities(engine.window(samples), engine.sounding_s(samples))


class StepScorer:
    """The step form: the mean of the logits of the last window's worth of steps since the utterance began, of
    a beginning heard again as a short recording is.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        model = engine.model
        step = model.frames * model.frontend.hop_length
        self._logits: deque[NDArray[np.float32]] = deque(maxlen=max(1, model.window_samples // step))
        self._pushed_to = 0

    def begin(self, onset: int) -> None:
        self._engine.reset()
        self._logits.clear()
        self._pushed_to = onset

    def score(self, between: Between, begin: int, end: int) -> NDArray[np.float32]:
        self._logits.extend(self._engine.push(between(self._pushed_to, end)))
        self._pushed_to = end
        n_classes = len(self._engine.model.labels)
        logits = [*self._logits, *self._engine.again()]
        mean = np.mean(logits, axis=0) if logits else np.zeros(n_classes, np.float32)
        return self._engine.probabilities(mean, self._engine.sounding_s(between(begin, end)))


def make_scorer(engine: Engine) -> Scorer:
    """The scorer for the engine's form of model."""
    return StepScorer(engine) if engine.model.form == "step" else WindowScorer(engine)
