"""Types of the compiled binding (native/_native.pyx)."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

PRESETS: tuple[str, ...]
FEATURES: tuple[str, ...]
FRAMINGS: tuple[str, ...]
WINDOWS: tuple[str, ...]
PREEMPHASIS_SCOPES: tuple[str, ...]
MEL_SCALES: tuple[str, ...]
MEL_SLOPES: tuple[str, ...]
MEL_NORMS: tuple[str, ...]
LOGS: tuple[str, ...]
ENERGIES: tuple[str, ...]
NORMALIZES: tuple[str, ...]
SIMDS: tuple[str, ...]

def preset_options(preset: str) -> dict[str, Any]: ...
def options_problem(given: Mapping[str, Any]) -> str | None: ...

class LookUp:
    def __new__(cls, codes: NDArray[np.int8], table: NDArray[np.float32]) -> Self: ...
    def __call__(self) -> NDArray[np.float32]: ...

class NativeFrontend:
    def __new__(cls, given: Mapping[str, Any]) -> Self: ...
    @property
    def n_features(self) -> int: ...
    @property
    def simd(self) -> str: ...
    @property
    def bad_samples(self) -> int: ...
    def n_frames(self, n_samples: int) -> int: ...
    def process(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.float32]: ...
    def process_int8(
        self,
        samples: NDArray[np.floating[Any]],
        scale: NDArray[np.float32],
        offset: NDArray[np.float32],
        out: NDArray[np.int8],
    ) -> int: ...
    def push(self, samples: NDArray[np.floating[Any]]) -> None: ...
    def finish(self) -> None: ...
    def pull(self) -> NDArray[np.float32]: ...
    def reset(self) -> None: ...

class Int8Writer:
    def __new__(
        cls,
        frontend: NativeFrontend,
        scale: NDArray[np.float32],
        offset: NDArray[np.float32],
        out: NDArray[np.int8],
    ) -> Self: ...
    def __call__(self, samples: NDArray[np.floating[Any]]) -> int: ...
