"""Recordings and arrays to predictions: cuts into windows, scores each, averages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import AudioReader, RawFormat
from edge_ser.engine import Engine, Float32
from edge_ser.model import Model
from edge_ser.onset import from_onset
from edge_ser.prediction import NO_SPEECH, UNCERTAIN, Prediction, Segment

if TYPE_CHECKING:
    from edge_ser.vad import Talk, Voice

__all__ = ["Classifier", "Prediction", "Segment", "cut_windows", "is_silent"]

SILENT_RANGE = np.float32(
    2.5 / 32768
)  # two steps of 16 bits from lowest to highest: a muted or absent signal
SHORT_S = 0.5


class Scored(NamedTuple):
    """A window or, in the step form, a hop: its first sample and the one after its last, logits (None: no
    speech), how much they weigh, whether it is digital silence, and how many seconds of sound they rest on.
    """

    start: int
    end: int
    logits: Float32 | None
    weight: float
    silent: bool
    sounding_s: float


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

            adaptation = Adaptation(self.model, Profile.load(Path(profile)), learn=False)
            self.engine.adapt(adaptation.shift(), adaptation.leaning())

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
        audio is followed by silence. Windows of silence, and those in which Silero (where it is installed)
        finds no voice, are "no speech" and do not count, nor does the quiet before the first sound. Raises
        AudioError for what is no audio. Memory does not grow with the recording, but for its segments.
        """
        if isinstance(source, np.ndarray):
            reader = AudioReader.from_array(source, rate_hz, self.model.rate_hz)
        else:
            reader = AudioReader(source, self.model.rate_hz, raw)
        talk = self.talk()
        before, blocks, silent = self._from_onset(reader, talk)
        pieces = self._steps if self.model.form == "step" else self._windows
        segments, total, weight, sounding_s = [], np.zeros(len(self.labels)), 0.0, 0.0
        if before:
            segments.append(Segment(0.0, before / self.model.rate_hz, NO_SPEECH, 0.0, {}))
        for piece in pieces(blocks, talk, before):
            start_s, end_s = piece.start / self.model.rate_hz, piece.end / self.model.rate_hz
            silent = silent and piece.silent
            if piece.logits is None:
                segments.append(Segment(start_s, end_s, NO_SPEECH, 0.0, {}))
                continue
            probabilities = self.engine.probabilities(piece.logits, piece.sounding_s)
            segments.append(Segment(start_s, end_s, *self._decide(probabilities)))
            total += piece.weight * (piece.logits if self.model.form == "step" else probabilities)
            weight += piece.weight
            sounding_s = piece.sounding_s
        notes = reader.notes()
        if reader.duration_s < SHORT_S:
            notes.append(f"only {reader.duration_s:.2f} s of audio: a second or more tells better")
        if not weight:
            heard = "digital silence" if silent else "no voice"
            notes.append(f"{heard}: no speech to classify")
            return Prediction(NO_SPEECH, 0.0, {}, reader.duration_s, segments, notes)
        mean = (total / weight).astype(np.float32)
        if self.model.form == "step":
            mean = self.engine.probabilities(mean, sounding_s)
        return Prediction(*self._decide(mean), reader.duration_s, segments, notes)

    def _decide(self, probabilities: Float32) -> tuple[str, float, dict[str, float]]:
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        label = UNCERTAIN if probability < self.model.abstain_below else self.labels[best]
        return label, probability, dict(zip(self.labels, probabilities.tolist(), strict=True))

    @cached_property
    def _voice(self) -> Voice | None:
        if not self.model.speech_only:
            return None
        from edge_ser.vad import voice_detector

        return voice_detector("auto", self.model.rate_hz)

    def talk(self) -> Talk | None:
        """A fresh search for a voice, for one recording; None where the model knows other sounds than
        speech, or Silero is not installed.
        """
        if self._voice is None:
            return None
        from edge_ser.vad import Talk

        return Talk(self._voice)

    def _from_onset(
        self, blocks: Iterable[Float32], talk: Talk | None
    ) -> tuple[int, Iterable[Float32], bool]:
        """(samples that are left out before the first sound, the rest, whether all windows in which nobody
        was found to speak are digital silence).
        """
        model, silent = self.model, True
        if not model.lead_s:
            return 0, blocks, silent

        def heard(start: int, samples: Float32) -> bool:
            nonlocal silent
            if is_silent(samples):
                return False
            spoken = talk is None or talk.heard_in(start, samples)
            silent = silent and spoken
            return spoken

        window, hop = self._cut()
        steps = model.form == "step"
        if steps:  # one window after another, as below: in more of them other sounds would have more chances
            hop = window
        before, rest = from_onset(blocks, window, hop, model.rate_hz, model.lead_s, heard, not steps)
        return before, rest, silent

    def _cut(self) -> tuple[int, int]:
        """Samples of a window in which a voice is looked for, in the step form whole hops, and of a hop."""
        hop = max(1, round(self.model.hop_s * self.model.rate_hz))
        window = self.model.window_samples
        return (max(1, window // hop) * hop if self.model.form == "step" else window), hop

    def _windows(self, blocks: Iterable[Float32], talk: Talk | None, first: int) -> Iterator[Scored]:
        """The window form: every window by itself. The blocks begin with the sample ``first``."""
        for offset, samples in cut_windows(blocks, *self._cut()):
            start = first + offset
            silent = is_silent(samples)
            spoken = not silent and (talk is None or talk.heard_in(start, samples))
            logits = self.engine.window(samples) if spoken else None
            sounding_s = self.engine.sounding_s(samples) if spoken else 0.0
            yield Scored(start, start + len(samples), logits, 1.0, silent, sounding_s)

    def _steps(self, blocks: Iterable[Float32], talk: Talk | None, first: int) -> Iterator[Scored]:
        """The step form, a hop at a time: the mean logits of the steps that it completes, weighted by their
        number. A hop that completes none has the answer of the one before, at first of the one behind. The
        blocks begin with the sample ``first``.
        """
        early: list[Scored] = []
        before: Scored | None = None
        for start, samples, logits, spoken, sounding_s in self._hops(blocks, talk, first):
            silent = is_silent(samples)
            mean = logits.mean(axis=0) if len(logits) and spoken and not silent else None
            piece = Scored(start, start + len(samples), mean, float(len(logits)), silent, sounding_s)
            if not len(logits) and spoken and not silent:
                if before is None:
                    early.append(piece)
                    continue
                piece = piece._replace(logits=before.logits)
            yield from (each._replace(logits=piece.logits, sounding_s=piece.sounding_s) for each in early)
            early.clear()
            yield piece
            before = piece

    def _hops(
        self, blocks: Iterable[Float32], talk: Talk | None, first: int
    ) -> Iterator[tuple[int, Float32, Float32, bool, float]]:
        """(first sample, samples, logits of the steps that they complete, whether there is a voice, seconds
        of sound until their end, of windows with a voice).

        A voice is looked for in the window's worth of audio that a hop belongs to, and the end of a recording
        is taken for what the window before it was.
        """
        window, hop = self._cut()
        engine = self.engine
        engine.reset()
        held: tuple[int, Float32, Float32, bool, float] | None = None
        spoken, before_s, sounding_s = True, 0.0, 0.0
        for place, audio in cut_windows(blocks, window, window, overlap_last=False):
            origin = first + place
            if talk is not None and (place == 0 or 2 * len(audio) > window):
                spoken = talk.heard_in(origin, audio)
            before_s = sounding_s
            for offset, samples in cut_windows([audio], hop, hop, overlap_last=False):
                if held is not None:
                    yield held
                if spoken and sounding_s < self.model.shortness.full_s:
                    sounding_s = before_s + engine.sounding_s(audio[: offset + len(samples)])
                held = origin + offset, samples, engine.push(samples), spoken, sounding_s
        if held is not None:
            start, samples, logits, spoken, sounding_s = held
            yield start, samples, np.concatenate([logits, engine.finish()]), spoken, sounding_s


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
