"""A profile: what ``edge-ser enroll`` keeps of half a minute of somebody's speech in this room.

It is statistics of the features only: their mean, and how much speech it was taken from. No sound can be
made of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError

MIN_SPEECH_S = 10.0


@dataclass(frozen=True)
class Profile:
    """``mean`` of each feature over ``speech_s`` seconds of speech, by the front end with these options.

    ``any_mood``: it was talk as it came rather than plain reading, so all speech of the training voices is
    what it is compared with.
    """

    frontend: dict[str, Any]
    mean: NDArray[np.float64]
    speech_s: float
    any_mood: bool = False

    def save(self, path: Path) -> None:
        """Write JSON; ``ConfigError`` where that is not possible."""
        record = {
            "v": 1,
            "type": "profile",
            "speech_s": round(self.speech_s, 2),
            "any_mood": self.any_mood,
            "mean": [round(float(value), 5) for value in self.mean],
            "frontend": self.frontend,
        }
        try:
            path.write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; choose a place that can be written") from error

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read what ``save`` wrote; ``ConfigError`` says what is wrong."""
        try:
            record = json.loads(path.read_text())
            mean = np.asarray(record["mean"], np.float64)
            whole = (
                record["v"] == 1
                and record["type"] == "profile"
                and mean.ndim == 1
                and np.isfinite(mean).all()
            )
            if not whole:
                raise ValueError("other contents")
            any_mood = bool(record.get("any_mood", False))
            return cls(dict(record["frontend"]), mean, float(record["speech_s"]), any_mood)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; make it with edge-ser enroll") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: no profile of edge_ser ({error!r}); make it with edge-ser enroll"
            ) from error

    def offset(self, frontend: Mapping[str, Any], reference: Mapping[str, Any]) -> NDArray[np.float64]:
        """Distance of this mean from the training voices': from their plain speech, where the model has it
        and this is plain speech too.
        """
        if dict(frontend) != self.frontend:
            differing = [key for key, value in frontend.items() if self.frontend.get(key) != value]
            raise ConfigError(
                f"the profile is of another front end ({', '.join(differing)}); enroll with this model"
            )
        if len(self.mean) != len(reference["speech"]):
            raise ConfigError(
                f"the profile has {len(self.mean)} features, the model {len(reference['speech'])}"
            )
        plain = "neutral" in reference and not self.any_mood
        compared = reference["neutral" if plain else "speech"]
        distance: NDArray[np.float64] = self.mean - np.asarray(compared, np.float64)
        return distance
