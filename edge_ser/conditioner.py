"""What every sample passes on its way in: made finite, measured for clipping, mixed to one channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_AMPLITUDE = np.float32(1e6)  # times full scale: beyond it lies damage, and float32 power would overflow
FULL_SCALE = np.float32(32766.5 / 32768)
FULL_SCALE_U8 = np.float32(126.5 / 128)
LOUDEST_PLAUSIBLE = 4.0  # float recordings go over full scale, but not by more than 12 dB
FLAT_TOP = 3  # this many neighbours at full scale are clipping; a peak-normalised recording has one


class Conditioner:
    """Counts over the life of one recording: ``bad_samples``, ``clipped_samples``, ``samples`` (of all
    channels).
    """

    def __init__(self) -> None:
        self.samples = 0
        self.bad_samples = 0
        self.clipped_samples = 0
        self.peak = 0.0
        self.full_scale = FULL_SCALE

    def apply(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [n, channels] to float32 [n], the mean of the channels; bad samples count as silence."""
        size = np.abs(block)
        usable = size <= MAX_AMPLITUDE  # false for NaN too
        if not usable.all():
            self.bad_samples += int(np.count_nonzero(~usable))
            block = np.where(usable, block, np.float32(0))
            size = np.abs(block)
        self.samples += block.size
        peak = float(size.max(initial=0.0))
        self.peak = max(self.peak, peak)
        if peak >= self.full_scale:
            self.clipped_samples += _in_flat_tops((size >= self.full_scale) & (size <= 1))
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)

    def notes(self) -> list[str]:
        """One sentence for each thing that may have cost accuracy."""
        notes = []
        if self.bad_samples:
            notes.append(
                f"{self.bad_samples} samples were not usable numbers (NaN, infinite, enormous): made silent"
            )
        if self.clipped_samples:
            share = 100 * self.clipped_samples / self.samples
            notes.append(f"clipped: {self.clipped_samples} samples ({share:.2g} %) are flat at full scale")
        if self.peak > LOUDEST_PLAUSIBLE:
            notes.append(
                f"samples reach {self.peak:.3g} times full scale: floats should lie between -1 and 1"
            )
        return notes


def _in_flat_tops(at_full_scale: NDArray[Any]) -> int:
    """How many samples of bool [n, channels] stand in runs of at least FLAT_TOP along the time axis."""
    if len(at_full_scale) < FLAT_TOP:
        return 0
    core = at_full_scale[2:] & at_full_scale[1:-1] & at_full_scale[:-2]
    inside = np.zeros_like(at_full_scale)
    for shift in range(FLAT_TOP):
        inside[shift : shift + len(core)] |= core
    return int(np.count_nonzero(inside))
