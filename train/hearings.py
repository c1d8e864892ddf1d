"""The ways in which a network hears a window: as it is, and with its frequency axis stretched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.frontend import FrontendOptions
from edge_ser.warp import warp_matrices

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Hearings:
    """``maps``: for each warp a matrix [features, features] and an offset [features], which do to
    standardised features what edge_ser/warp.py does to those of the front end.
    """

    maps: tuple[tuple[Float32, Float32], ...] = ()

    @classmethod
    def of(cls, options: FrontendOptions, warps: Sequence[float], mean: Float32, std: Float32) -> Hearings:
        """Of a recipe's ``input.warps``, for features of ``options`` standardised by ``mean`` and ``std``."""
        maps = []
        for matrix in warp_matrices(options, warps):
            scaled = std[:, np.newaxis].astype(np.float64) * matrix / std
            offset = (mean.astype(np.float64) @ matrix - mean) / std
            maps.append((scaled.astype(np.float32), offset.astype(np.float32)))
        return cls(tuple(maps))

    def each(self, inputs: Sequence[Float32]) -> Iterator[list[Float32]]:
        """``inputs`` [.., frames, features] as they are, then warped in each way."""
        yield list(inputs)
        for matrix, offset in self.maps:
            yield [one @ matrix + offset for one in inputs]

    def mean(self, ask: Callable[[list[Float32]], NDArray[Any]], inputs: Sequence[Float32]) -> NDArray[Any]:
        """The mean over the hearings of what ``ask`` says of them: logits, for which ask a network."""
        answers = [ask(heard) for heard in self.each(inputs)]
        return answers[0] if len(answers) == 1 else np.mean(answers, axis=0)
