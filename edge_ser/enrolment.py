"""Half a minute of somebody's speech, in memory, becomes a profile. Nothing else is kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ser.adaptation import Adaptation
from edge_ser.classifier import cut_windows
from edge_ser.engine import Engine
from edge_ser.frontend import Frontend
from edge_ser.profile import Profile
from edge_ser.vad import SPAN, Span

PAUSE_SPANS = 4  # a longer pause ends a stretch


class Stretches:
    """Collects what is said, with its short pauses: ``sounds`` are stretches of samples (float32)."""

    def __init__(self) -> None:
        self._closed: list[NDArray[np.float32]] = []
        self._open: list[NDArray[np.float32]] = []
        self._pause: list[NDArray[np.float32]] = []
        self.speech_samples = 0

    def take(self, span: Span, sound: NDArray[np.float32]) -> None:
        """The next span of the stream, and its samples."""
        if span.speech:
            self._open += [*self._pause, sound]
            self._pause = []
            self.speech_samples += SPAN
        elif self._open:
            self._pause.append(sound)
            if len(self._pause) > PAUSE_SPANS:
                self._close()

    def _close(self) -> None:
        self._closed.append(np.concatenate(self._open))
        self._open, self._pause = [], []

    def sounds(self) -> list[NDArray[np.float32]]:
        """All stretches so far; the open one ends here."""
        if self._open:
            self._close()
        return self._closed


def enrol(
    engine: Engine, sounds: Sequence[NDArray[np.float32]], speech_s: float, any_mood: bool = False
) -> Profile:
    """The profile of ``sounds`` (float32 [n] at the model's rate, ``speech_s`` seconds of speech) for the
    engine's model.

    The engine is left with the correction of the features that the profile makes.
    """
    model = engine.model
    frontend = Frontend(model.frontend)
    frames = np.concatenate([frontend.process(sound) for sound in sounds])
    profile = Profile(model.frontend.as_dict(), frames.mean(axis=0, dtype=np.float64), speech_s, any_mood)
    engine.adapt(Adaptation(model, profile, learn=False).shift(), np.zeros(len(model.labels), np.float32))
    answers = [answer for sound in sounds for answer in _answers(engine, sound)]
    mean = np.average([logits for logits, _ in answers], axis=0, weights=[weight for _, weight in answers])
    return replace(profile, graph=model.record["graph"]["sha256"], logits=mean)


def _answers(engine: Engine, sound: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Logits [classes] of each window or step, and how many samples they are of: behind a short piece there
    is silence, of which a model says little.
    """
    model = engine.model
    if model.form == "step":
        engine.reset()
        step = min(model.frames * model.frontend.hop_length, len(sound))
        yield from ((logits, step) for logits in (*engine.push(sound), *engine.finish()))
        return
    hop = max(1, round(model.hop_s * model.rate_hz))
    for _, piece in cut_windows([sound], model.window_samples, hop):
        yield engine.window(piece), len(piece)
