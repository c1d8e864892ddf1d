"""Which utterances ranges are measured on, and how a range is chosen from the values seen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from convert.ir import Float
from train.utterance import Utterance

MAX_VALUES = 20_000  # enough for a range; more only costs time


def choose(utterances: Sequence[Utterance], per_cell: int, seed: int) -> list[int]:
    """Indices of up to ``per_cell`` utterances for every (speaker, class), drawn by ``seed``, in ascending
    order.

    All speakers and classes weigh the same, however unevenly a corpus is filled. ``utterances`` is the
    training list of a run, so nothing of a test fold can be among them.
    """
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, utterance in enumerate(utterances):
        cells[utterance.speaker_id, utterance.emotion].append(index)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for key in sorted(cells):
        members = sorted(cells[key], key=lambda index: utterances[index].path)
        order = rng.permutation(len(members))
        chosen += [members[place] for place in order[:per_cell]]
    return sorted(chosen)


def thinned(values: Float, most: int, width: int) -> Float:
    """About ``most`` of the values, evenly spread; of rows of ``width`` every column is among them.

    A stride that shares a factor with the width would always meet the same units of a layer.
    """
    stride = len(values) // most + 1
    while math.gcd(stride, width) > 1:
        stride += 1
    return values[::stride]


def best_range(values: Float, width: int = 1) -> tuple[float, float]:
    """The (low, high), zero inside, whose 256 steps give these values the least mean square error.

    Rare extremes are clipped: they would cost every other value resolution. Found by shrinking from the full
    range, each end in turn (Nagel et al., A White Paper on Neural Network Quantization, 2021, section 3.1).
    """
    few = values.reshape(-1)
    if len(few) > MAX_VALUES:
        few = thinned(few, MAX_VALUES, width)
    flat = few.astype(np.float64)
    ends = [min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)]
    full = list(ends)
    if full[0] == full[1]:
        return 0.0, 1e-3
    for _ in range(2):
        for side in (0, 1):
            candidates = [full[side] * share for share in np.linspace(0.3, 1.0, 29)]
            tries = [[end, ends[1]] if side == 0 else [ends[0], end] for end in candidates]
            ends = min(tries, key=lambda each: _error(flat, *each))
    return float(ends[0]), float(ends[1])


def whole_range(values: Float) -> tuple[float, float]:
    """The (low, high), zero inside, that covers half as much again as was seen: of 65536 steps enough are
    left, while a cell that sums up and is clipped forgets what it counted.
    """
    return 1.5 * min(float(values.min()), 0.0), 1.5 * max(float(values.max()), 1e-3)


def _error(values: np.ndarray[tuple[int], np.dtype[np.float64]], low: float, high: float) -> float:
    step = (high - low) / 255
    rounded = np.rint((np.clip(values, low, high) - low) / step) * step + low
    return float(np.mean((rounded - values) ** 2))
