"""Augmentation of where a training window is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class TimeShift:
    """Move the window by up to ``max_frames`` either way; what it then lacks is silence."""

    domain: ClassVar[str] = "offset"
    max_frames: int = 16

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(-self.max_frames, self.max_frames + 1))
