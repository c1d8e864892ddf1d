"""Names for the arrays that go through training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [n], full scale is 1.0
Features = NDArray[np.float32]  # [frames, features]
Scores = NDArray[np.float64]  # [utterances, classes], each row a distribution
Labels = NDArray[np.int64]  # [utterances], indices into the recipe's labels
Array = NDArray[Any]
