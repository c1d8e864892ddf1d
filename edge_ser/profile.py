"""A profile: what ``edge-ser enroll`` keeps of half a minute of somebody's speech in this room.

It is statistics only: the mean of the features, the mean answer of a model, and how much speech they were
taken from. No sound can be made of it.
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
    what it is compared with. ``logits``: what the model whose graph has the digest ``graph`` answered on
    average.
    """

    frontend: dict[str, Any]
    mean: NDArray[np.float64]
    speech_s: float
    any_mood: bool = False
    graph: str = ""
    logits: NDArray[np.float64] | None = None

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
        if self.logits is not None:
            record["graph_sha256"] = self.graph
            record["logits"] = [round(float(value), 4) for value in self.logits]
        try:
            path.write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; choose a place that can be written") from error

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read what ``save`` wrote; ``ConfigError`` says what is wrong."""
        try:
            record = json.loads(path.read_text())
            mean = _vector(record["mean"])
            if record["v"] != 1 or record["type"] != "profile":
                raise ValueError("other contents")
            any_mood = bool(record.get("any_mood", False))
            graph = str(record.get("graph_sha256", ""))
            logits = _vector(record["logits"]) if graph else None
            return cls(dict(record["frontend"]), mean, float(record["speech_s"]), any_mood, graph, logits)
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
        distance: NDArray[np.float64] = self.mean - np.asarray(self.of_this_mood(reference), np.float64)
        return distance

    def of_this_mood(self, reference: Mapping[str, Any]) -> Any:
        """What a profile is compared with: plain speech where both are, all speech elsewhere."""
        return reference["neutral" if "neutral" in reference and not self.any_mood else "speech"]


def _vector(values: Any) -> NDArray[np.float64]:
    vector = np.asarray(values, np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("other contents")
    return vector
