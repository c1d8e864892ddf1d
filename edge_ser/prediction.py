"""What a classifier says about a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NO_SPEECH = "no speech"
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Segment:
    """One window (or hop, in the step form) of a recording, in seconds from its start.

    ``label`` is one of the model's, "uncertain" or "no speech"; ``probability`` that of the best label.
    ``scores`` holds the probability of every label and is empty where there was no speech.
    """

    start_s: float
    end_s: float
    label: str
    probability: float
    scores: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: times to the millisecond, probabilities to four digits."""
        return {
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "label": self.label,
            "probability": round(self.probability, 4),
            "scores": _rounded(self.scores),
        }


@dataclass(frozen=True)
class Prediction:
    """The emotion of a whole recording; fields as in Segment. ``notes`` are remarks on the audio, a sentence
    each.
    """

    label: str
    probability: float
    scores: dict[str, float]
    duration_s: float
    segments: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form without its segments."""
        return {
            "label": self.label,
            "probability": round(self.probability, 4),
            "scores": _rounded(self.scores),
            "duration_s": round(self.duration_s, 3),
            "notes": self.notes,
        }


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {label: round(probability, 4) for label, probability in scores.items()}
