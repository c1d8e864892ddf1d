"""Does this machine compute what the maker's did? Replays the golden vector that a model file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_ser.engine import Engine
from edge_ser.errors import ModelError
from edge_ser.model import Model

FEATURE_TOLERANCE = 1  # of 256 steps: another libm may round the last bit the other way
SCORE_TOLERANCE = 2  # interpreters differ by one step in an operation


@dataclass(frozen=True)
class SelfTest:
    """Largest differences from the golden vector, in steps of int8, and the share of features that differ."""

    runtime: str
    feature_difference: int
    features_differing: float
    score_difference: int

    @property
    def passed(self) -> bool:
        """Whether both differences are within what machines may differ by."""
        return self.feature_difference <= FEATURE_TOLERANCE and self.score_difference <= SCORE_TOLERANCE


def self_test(model: Model, runtime: str | None = None) -> SelfTest:
    """Audio through the front end here, and the golden features through the interpreter here; ModelError if
    none.
    """
    golden = model.golden()
    if golden is None:
        raise ModelError(f"{model.source}: holds no golden vector to test with; convert the model again")
    audio, features, scores = golden
    engine = Engine(model, runtime)
    samples = audio.astype(np.float32) / np.float32(32768)
    here = engine.features(samples)[: len(features)]
    if here.shape != features.shape or not len(features) == len(scores) > 0:
        raise ModelError(f"{model.source}: a golden vector of odd size; convert the model again")
    engine.reset()
    ran = np.array([engine.run(chunk) for chunk in features])
    feature_gap = np.abs(here.astype(np.int16) - features)
    score_gap = np.abs(ran.astype(np.int16) - scores)
    return SelfTest(
        engine.runtime.name, int(feature_gap.max()), float((feature_gap > 0).mean()), int(score_gap.max())
    )
