"""What the live side says: one small record per thing that happens.

Times are seconds of the stream: samples heard divided by their rate, plus what is known to be lost. They
never go back, and the wall clock has no part in them. ``record()`` is the JSON form, documented in
docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from edge_ser.prediction import NO_SPEECH as NO_SPEECH
from edge_ser.prediction import UNCERTAIN as UNCERTAIN

MICROPHONE_STATES = ("starting", "listening", "silent", "absent", "stalled")


@dataclass(frozen=True)
class Event:
    """Root of all events; ``time_s`` is where in the stream it happened."""

    kind: ClassVar[str] = "event"
    time_s: float

    def record(self) -> dict[str, Any]:
        """The event as a JSON object: schema version, type, then the fields, rounded to what they are
        worth.
        """
        values = {name: _rounded(value) for name, value in vars(self).items()}
        return {"v": 1, "type": self.kind, **values}


@dataclass(frozen=True)
class Window(Event):
    """What was heard in one window; one per hop, silence included.

    ``start_s``..``end_s`` is the audio that was scored (empty where there was none). ``scores`` are
    smoothed probabilities by label, ``window_scores`` those of this window alone; both are empty where
    there was no speech. ``affected`` says that samples are missing inside the window.
    """

    kind: ClassVar[str] = "window"
    start_s: float
    end_s: float
    label: str
    probability: float
    scores: Mapping[str, float]
    window_scores: Mapping[str, float]
    level_db: float
    hop_s: float
    affected: bool = False


@dataclass(frozen=True)
class Change(Event):
    """The announced label changed; said once."""

    kind: ClassVar[str] = "change"
    label: str
    previous: str
    probability: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class HopChanged(Event):
    """The hop was widened because processing fell behind, or narrowed again."""

    kind: ClassVar[str] = "hop"
    hop_s: float
    backlog_s: float


@dataclass(frozen=True)
class MicrophoneState(Event):
    """The microphone is ``listening``, ``absent``, ``stalled`` or ``silent`` (digital silence)."""

    kind: ClassVar[str] = "microphone"
    state: str
    device: str
    reason: str = ""


@dataclass(frozen=True)
class Overrun(Event):
    """Samples were lost between the device and us: ``count`` overruns so far, about ``lost_s`` seconds this
    time.
    """

    kind: ClassVar[str] = "overrun"
    count: int
    lost_s: float


@dataclass(frozen=True)
class Status(Event):
    """The heartbeat: what is true now, and all counters since the start."""

    kind: ClassVar[str] = "status"
    label: str
    probability: float
    scores: Mapping[str, float]
    microphone: str
    device: str
    level_db: float
    hop_s: float
    counters: Mapping[str, int | float] = field(default_factory=dict)


def _rounded(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (float, Mapping)):
        return value
    if isinstance(value, float):
        return round(value, 4)
    return {key: _rounded(item) for key, item in value.items()}
