"""Live sound to events: find speech, score overlapping windows of it, announce changes.

Time is counted in samples. A decision is due every hop; while somebody speaks it rests on the audio since the
speech began, at most a window of it, as ``Classifier.classify`` would score that piece, leaving nothing out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from edge_ser.live.decision import Decision
from edge_ser.live.events import Change, Event, HopChanged, Window
from edge_ser.live.scoring import make_scorer
from edge_ser.vad import LEAST_LIVE, LOWEST_DB, SPAN, SURE_LIVE, Span, SpeechDetector, Talk, voice_detector

if TYPE_CHECKING:
    from edge_ser.adaptation import Adaptation
    from edge_ser.classifier import Classifier

BEFORE_ONSET_S = 0.2  # soft beginnings are below the gate
LONGEST_LOSS_S = 1.0  # after a longer gap nobody knows who speaks: start again
PROOF_S = 1.5  # in running speech a voice is proved again so often; each time costs a dozen runs of Silero
CALM_HOPS = 10  # without backlog, before a widened hop is narrowed


class Stream:
    """``feed`` mono float32 blocks (±1.0, the model's rate) of any length; it returns what happened.

    ``hop_s``: seconds between decisions. ``smoothing_s``, ``margin``, ``uncertain_below``: see
    ``Decision``; the last is the model's own threshold when None. ``min_speech_s``: speech before a first
    decision. ``hangover_s``: silence that ends an utterance. ``vad``: auto, silero or energy.
    ``adaptation`` follows the voice and the room, and is asked before each window. One thread only.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        hop_s: float = 0.5,
        smoothing_s: float = 1.0,
        margin: float = 0.1,
        uncertain_below: float | None = None,
        min_speech_s: float = 0.8,
        hangover_s: float = 0.8,
        vad: str = "auto",
        adaptation: Adaptation | None = None,
    ) -> None:
        model = classifier.model
        self.rate_hz = model.rate_hz
        self.window_s = model.length_s
        self._labels = classifier.labels
        self._engine = classifier.engine
        self._scorer = make_scorer(classifier.engine)
        self._adaptation = adaptation
        if not 0.1 <= hop_s <= self.window_s:
            raise ConfigError(f"hop of {hop_s} s: choose 0.1 to {self.window_s} s, the model's window")
        if min_speech_s > self.window_s or min(min_speech_s, hangover_s, smoothing_s, margin) < 0:
            raise ConfigError(
                "speech, hangover, smoothing and margin must be 0 or more, speech at most a window"
            )
        self.hop_s = hop_s
        self.level_db = LOWEST_DB
        self.windows = 0
        self.scored = 0
        self._base_hop_s = hop_s
        self._calm_hops = 0
        self._min_speech = round(min_speech_s * self.rate_hz)
        self._hangover = round(hangover_s * self.rate_hz)
        self._before_onset = round(BEFORE_ONSET_S * self.rate_hz)
        self.decision = Decision(
            self._labels,
            smoothing_s=smoothing_s,
            margin=margin,
            uncertain_below=model.abstain_below if uncertain_below is None else uncertain_below,
        )
        voice = voice_detector(vad, self.rate_hz)
        self._detector = SpeechDetector(self.rate_hz, voice)
        self._talk = Talk(voice, SURE_LIVE, LEAST_LIVE) if voice and model.speech_only else None
        self._proved_to = 0  # windows that end until here have speech in them
        window = model.window_samples
        self._audio = _Recent(window + self._hangover + self._before_onset + 4 * SPAN)
        self._window = window
        self._next_hop = round(hop_s * self.rate_hz)
        self._onset: int | None = None  # where the current utterance began
        self._speech_end = 0
        self._scored = 0, 0  # the piece of audio that _window_scores belong to
        self._window_scores: dict[str, float] = {}
        self._cuts: deque[int] = deque(maxlen=64)  # positions where samples are missing
        self._lost_s = 0.0

    @property
    def time_s(self) -> float:
        """Seconds of the stream: what was heard and what is known to be lost."""
        return self._audio.end / self.rate_hz + self._lost_s

    def cut(self, lost_s: float = 0.0) -> list[Event]:
        """Samples are missing before the next block, about ``lost_s`` seconds of them."""
        self._lost_s += lost_s
        self._cuts.append(self._audio.end)
        return self.interrupt() if lost_s > LONGEST_LOSS_S else []

    def interrupt(self) -> list[Event]:
        """Nobody can be heard for now: the utterance is over."""
        self._speech_end = self._audio.end
        return self._end_utterance(self._audio.end)

    def feed(self, block: NDArray[np.float32], backlog_s: float = 0.0) -> list[Event]:
        """Take a block; ``backlog_s`` is how much audio waits behind it, and widens the hop."""
        events: list[Event] = []
        while len(block):
            part = block[: self._next_hop - self._audio.end]
            block = block[len(part) :]
            self._audio.append(part)
            for span in self._detector.feed(part):
                events += self._hear(span)
            if self._audio.end == self._next_hop:
                events += self._decide()
                events += self._pace(backlog_s)
                self._next_hop += round(self.hop_s * self.rate_hz)
        return events

    def _hear(self, span: Span) -> list[Event]:
        self.level_db = span.level_db
        if span.speech:
            if self._onset is None:
                self._onset = max(self._speech_end, span.first_loud - self._before_onset)
                self._scored = self._onset, self._onset
                self._scorer.begin(self._onset)
            self._speech_end = span.end
        elif self._onset is not None and span.end - self._speech_end >= self._hangover:
            return self._end_utterance(span.end)
        return []

    def _end_utterance(self, position: int) -> list[Event]:
        previous = self.decision.label
        self._onset = None
        self._proved_to = 0
        self._window_scores = {}
        if not self.decision.silence():
            return []
        return [Change(position / self.rate_hz + self._lost_s, self.decision.label, previous, 0.0, {})]

    def _decide(self) -> list[Event]:
        self.windows += 1
        events: list[Event] = []
        if self._onset is not None:
            # Once nobody speaks, the silence that follows is not part of the window.
            still = self._audio.end - self._speech_end < 2 * SPAN
            end = self._audio.end if still else self._speech_end
            if end - self._onset >= self._min_speech and end > self._scored[1]:
                events = self._score(max(self._onset, end - self._window), end)
        begin, end = self._scored if self._window_scores else (self._audio.end, self._audio.end)
        decision = self.decision
        window = Window(
            self.time_s,
            self.time_s - (self._audio.end - begin) / self.rate_hz,
            self.time_s - (self._audio.end - end) / self.rate_hz,
            decision.label,
            decision.probability,
            decision.scores,
            self._window_scores,
            self.level_db,
            self.hop_s,
            any(begin < cut < end for cut in self._cuts),
        )
        return [window, *events]

    def _score(self, begin: int, end: int) -> list[Event]:
        previous = self.decision.label
        if not self._proved(begin, end):
            self._window_scores = {}
            if not self.decision.silence():
                return []
            return [Change(self.time_s, self.decision.label, previous, 0.0, {})]
        self.scored += 1
        if self._adaptation is not None:
            self._engine.adapt(self._adaptation.shift(), self._adaptation.leaning())
            self._adaptation.hear(self._audio.between(max(self._scored[1], begin), end))
        probabilities = self._scorer.score(self._audio.between, begin, end)
        changed = self.decision.hear(probabilities, (end - self._scored[1]) / self.rate_hz)
        self._scored = begin, end
        self._window_scores = dict(zip(self._labels, probabilities.tolist(), strict=True))
        if not changed:
            return []
        decision = self.decision
        return [Change(self.time_s, decision.label, previous, decision.probability, decision.scores)]

    def _proved(self, begin: int, end: int) -> bool:
        """Whether a voice was found in this window, or shortly before in one that overlaps it."""
        if self._talk is None or end <= self._proved_to:
            return True
        if not self._talk.heard_in(begin, self._audio.between(begin, end)):
            return False
        self._proved_to = end + round(PROOF_S * self.rate_hz)
        return True

    def _pace(self, backlog_s: float) -> list[Event]:
        """Widen the hop before a backlog grows; narrow it when there has been none for a while."""
        before = self.hop_s
        if backlog_s > self.hop_s:
            self.hop_s = min(2 * self.hop_s, self.window_s)
            self._calm_hops = 0
        elif backlog_s < 0.5 * self._base_hop_s and self.hop_s > self._base_hop_s:
            self._calm_hops += 1
            if self._calm_hops >= CALM_HOPS:
                self.hop_s = max(self.hop_s / 2, self._base_hop_s)
                self._calm_hops = 0
        return [] if self.hop_s == before else [HopChanged(self.time_s, self.hop_s, backlog_s)]


class _Recent:
    """The last ``capacity`` samples of a stream, addressed by their position in it.

    They lie in a buffer that has room for ``SPARE`` more; when that is used up, they are moved to its front.
    """

    SPARE = 16000

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._samples = np.zeros(capacity + self.SPARE, np.float32)
        self._filled = 0
        self.end = 0

    def append(self, block: NDArray[np.float32]) -> None:
        for start in range(0, len(block), self.SPARE):
            part = block[start : start + self.SPARE]
            if self._filled + len(part) > len(self._samples):
                self._samples[: self._capacity] = self._samples[self._filled - self._capacity : self._filled]
                self._filled = self._capacity
            self._samples[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            self.end += len(part)

    def between(self, begin: int, end: int) -> NDArray[np.float32]:
        shift = self._filled - self.end
        return self._samples[begin + shift : end + shift]
