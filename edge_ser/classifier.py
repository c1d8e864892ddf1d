"""Recordings and arrays to predictions: cuts into windows, scores each, averages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import AudioReader, RawFormat
from edge_ser.engine import Engine, Float32
from edge_ser.model import Model
from edge_ser.prediction import NO_SPEECH, UNCERTAIN, Prediction, Segment

__all__ = ["Classifier", "Prediction", "Segment", "cut_windows", "is_silent"]

SILENT_RANGE = np.float32(
    2.5 / 32768
)  # two steps of 16 bits from lowest to highest: a muted or absent signal
SHORT_S = 0.5


class Classifier:
    """Names the emotion in recordings of speech, with one model on one interpreter.

    >>> import numpy as np
    >>> classifier = Classifier()  # the default model; or Classifier("my.tflite")
    >>> prediction = classifier.classify(np.zeros(16000, np.float32))
    >>> prediction.label, prediction.notes
    ('no speech', ['digital silence: no speech to classify'])

    For one thread at a time; threads that want to work at once make their own.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model | None = None,
        runtime: str | None = None,
        profile: str | os.PathLike[str] | None = None,
    ) -> None:
        """``model``: path, name of a shipped model, loaded Model, or None for the default; ModelError if it
        is bad.

        ``runtime``: ai_edge_litert, tflite_runtime or tensorflow; None takes the first that is installed.
        ``profile``: file of edge-ser enroll, for the voice and the room that are to be heard.
        """
        self.model = model if isinstance(model, Model) else Model.load(model)
        self.labels = list(self.model.labels)
        self.engine = Engine(self.model, runtime)
        self.profile = profile
        if profile is not None:
            from edge_ser.adaptation import Adaptation
            from edge_ser.profile import Profile

            self.engine.adapt(Adaptation(self.model, Profile.load(Path(profile)), learn=False).shift())

    def classify(
        self,
        source: str | Path | IO[bytes] | NDArray[Any],
        rate_hz: int | None = None,
        raw: RawFormat | None = None,
    ) -> Prediction:
        """The emotion of a recording.

        ``source``: a path, "-" for standard input, an open binary file, or samples [n] or [n, channels]
        (float at ±1.0, int16, int32, uint8) at ``rate_hz`` (None: the model's). ``raw`` reads headerless PCM.
        Longer audio than the model's window is cut into windows, whose probabilities are averaged; shorter
        audio is followed by silence. Raises AudioError for what is no audio. Memory does not grow with the
        recording, but for its segments.
        """
        if isinstance(source, np.ndarray):
            reader = AudioReader.from_array(source, rate_hz, self.model.rate_hz)
        else:
            reader = AudioReader(source, self.model.rate_hz, raw)
        scored = self._steps(reader) if self.model.form == "step" else self._windows(reader)
        segments, total, weight = [], np.zeros(len(self.labels)), 0.0
        for start, end, scores, share in scored:
            start_s, end_s = start / self.model.rate_hz, end / self.model.rate_hz
            if scores is None:
                segments.append(Segment(start_s, end_s, NO_SPEECH, 0.0, {}))
                continue
            probabilities = self.engine.probabilities(scores)
            segments.append(Segment(start_s, end_s, *self._decide(probabilities)))
            total += share * (scores if self.model.form == "step" else probabilities)
            weight += share
        notes = reader.notes()
        if reader.duration_s < SHORT_S:
            notes.append(f"only {reader.duration_s:.2f} s of audio: a second or more tells better")
        if not weight:
            notes.append("digital silence: no speech to classify")
            return Prediction(NO_SPEECH, 0.0, {}, reader.duration_s, segments, notes)
        mean = (total / weight).astype(np.float32)
        whole = self._decide(self.engine.probabilities(mean) if self.model.form == "step" else mean)
        return Prediction(*whole, reader.duration_s, segments, notes)

    def _decide(self, probabilities: Float32) -> tuple[str, float, dict[str, float]]:
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        label = UNCERTAIN if probability < self.model.abstain_below else self.labels[best]
        return label, probability, dict(zip(self.labels, probabilities.tolist(), strict=True))

    def _windows(self, blocks: Iterable[Float32]) -> Iterator[tuple[int, int, Float32 | None, float]]:
        """(first sample, sample after the last, logits or None for silence, weight) of each window."""
        hop = max(1, round(self.model.hop_s * self.model.rate_hz))
        for start, samples in cut_windows(blocks, self.model.window_samples, hop):
            scores = None if is_silent(samples) else self.engine.window(samples)
            yield start, start + len(samples), scores, 1.0

    def _steps(self, blocks: Iterable[Float32]) -> Iterator[tuple[int, int, Float32 | None, float]]:
        """The same in the step form, a hop at a time: mean logits, weighted by the number of steps."""
        hop = max(1, round(self.model.hop_s * self.model.rate_hz))
        engine = self.engine
        engine.reset()
        held: tuple[int, Float32, Float32] | None = None
        for start, samples in cut_windows(blocks, hop, hop, overlap_last=False):
            if held is not None:
                yield self._step_segment(*held)
            held = start, samples, engine.push(samples)
        if held is not None:
            start, samples, logits = held
            yield self._step_segment(start, samples, np.concatenate([logits, engine.finish()]))

    def _step_segment(
        self, start: int, samples: Float32, logits: Float32
    ) -> tuple[int, int, Float32 | None, float]:
        silent = is_silent(samples) or not len(logits)
        return start, start + len(samples), None if silent else logits.mean(axis=0), float(len(logits))


def is_silent(samples: Float32) -> bool:
    """Whether nothing but a constant and the last bit is there."""
    return bool(np.ptp(samples) <= SILENT_RANGE) if len(samples) else True


def cut_windows(
    blocks: Iterable[Float32], length: int, hop: int, overlap_last: bool = True
) -> Iterator[tuple[int, Float32]]:
    """(start, samples) of windows every ``hop`` samples; the last one ends with the audio.

    It reaches back for a full ``length`` if ``overlap_last``, else it is shorter. Audio shorter than
    ``length`` is one window. Keeps no more than a window and a block in memory.

    >>> [(start, samples.tolist()) for start, samples in cut_windows([np.arange(6.0)], 4, 1)]
    [(0, [0.0, 1.0, 2.0, 3.0]), (1, [1.0, 2.0, 3.0, 4.0]), (2, [2.0, 3.0, 4.0, 5.0])]
    """
    kept = np.zeros(0, np.float32)
    first = 0  # position of kept[0]
    start = covered = 0
    for block in blocks:
        kept = np.concatenate([kept, block])
        while start + length <= first + len(kept):
            yield start, kept[start - first : start - first + length]
            covered = start + length
            kept, first = kept[start - first :], start
            start += hop
    end = first + len(kept)
    if end > covered:
        start = max(0, end - length) if overlap_last else start
        yield start, kept[start - first :]
