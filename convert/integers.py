"""Real numbers as TFLite's integers: scales, zero points, codes (its int8 quantisation specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Quant:
    """real = (integer - zero_point) * scale, which is the number meant plus ``lift``, or, if ``negative``,
    ``lift`` minus the number meant (convert/lift.py).
    """

    scale: float
    zero_point: int
    bits: int = 8
    lift: float = 0.0
    negative: bool = False

    @property
    def dtype(self) -> str:
        return f"int{self.bits}"

    @property
    def zero_code(self) -> int:
        """The integer that stands for the number zero."""
        return self.zero_point + round(self.lift / self.scale)


def quant_of_range(low: float, high: float, bits: int = 8) -> Quant:
    """The scale that covers [low, high] and holds zero exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    if bits == 16:
        return Quant(float(np.float32(max(-low, high, 1e-8) / 32767)), 0, 16)
    scale = float(np.float32(max(high - low, 1e-6) / 255))
    return Quant(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def centred(q: Quant) -> Quant:
    """The int8 scale with zero point 0 that covers at least what ``q`` covers."""
    zero = q.zero_code
    if zero == 0:
        return Quant(q.scale, 0, q.bits)
    return Quant(float(np.float32(q.scale * max(128 + zero, 127 - zero) / 127)), 0, q.bits)


def fixed_quant(kind: str, bits: int) -> Quant | None:
    """The output scale that TFLite's kernels demand of functions with a known range."""
    if kind == "TANH":
        return Quant(1 / 32768, 0, 16) if bits == 16 else Quant(1 / 128, 0)
    if kind == "LOGISTIC":
        return Quant(1 / 32768, 0, 16) if bits == 16 else Quant(1 / 256, -128)
    if kind == "SOFTMAX":
        return Quant(1 / 32768, 0, 16) if bits == 16 else Quant(1 / 256, -128)
    return None


def quantise(array: npt.NDArray[Any], q: Quant) -> npt.NDArray[Any]:
    half = 1 << (q.bits - 1)
    codes = np.clip(np.rint(array.astype(np.float64) / q.scale) + q.zero_point, -half, half - 1)
    return np.asarray(codes, q.dtype)


def quantise_weights(
    weights: npt.NDArray[np.float32], axis: int | None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 codes in [-127, 127] and a scale for each index of ``axis``, or one scale if that is
    None.
    """
    others = tuple(n for n in range(weights.ndim) if n != axis)
    scale = np.atleast_1d(np.maximum(np.abs(weights).max(axis=others), 1e-8) / 127).astype(np.float32)
    shaped = scale.reshape([-1 if n == axis else 1 for n in range(weights.ndim)])
    return np.clip(np.rint(weights / shaped), -127, 127).astype(np.int8), scale
