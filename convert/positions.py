"""Filters over frames and coefficients, written for a plane that is cut into positions.

A position is ``frames`` by ``across`` coefficients of a plane with one channel, held as channels; a filter
that steps over ``frames`` frames and one coefficient becomes ``across`` filters that step over one position,
with zeros where it does not reach. (Known as space to depth.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.ir import Float


@dataclass(frozen=True)
class Grid:
    """The size of a position."""

    frames: int
    across: int

    @property
    def depth(self) -> int:
        return self.frames * self.across


@dataclass(frozen=True)
class Span:
    """Positions that filters see along an axis, before and behind their own."""

    before: int
    behind: int

    @property
    def size(self) -> int:
        return self.before + 1 + self.behind

    def __or__(self, other: Span) -> Span:
        return Span(max(self.before, other.before), max(self.behind, other.behind))

    def centred(self) -> Span:
        """Widened to what padding "same" takes it for: as many before as behind, or one less."""
        behind = max(self.before, self.behind)
        return Span(max(self.before, behind - 1), behind)


@dataclass(frozen=True, eq=False)
class Filters:
    """Filters [channels, rows, columns]; output (i, j) sees the plane from (frames · i - ``top``, j -
    ``left``) on.
    """

    weights: Float
    top: int
    left: int

    def spans(self, grid: Grid) -> tuple[Span, Span]:
        """Over frames and over coefficients."""
        _, rows, columns = self.weights.shape
        last = grid.across - 1 + columns - 1 - self.left  # of the position's last coefficient
        return (
            Span(-(-self.top // grid.frames), max(rows - 1 - self.top, 0) // grid.frames),
            Span(-(-self.left // grid.across), max(last, 0) // grid.across),
        )

    def over_positions(self, grid: Grid, spans: tuple[Span, Span]) -> Float:
        """[across, channels, positions of frames, positions of coefficients, depth]: for each coefficient of
        a position the filters over the positions in ``spans``; depth counts coefficients fastest.
        """
        channels, rows, columns = self.weights.shape
        size = (spans[0].size, spans[1].size)
        apart = np.zeros((grid.across, channels, size[0] * grid.frames, size[1] * grid.across), np.float32)
        top = spans[0].before * grid.frames - self.top
        for place in range(grid.across):
            left = spans[1].before * grid.across + place - self.left
            apart[place, :, top : top + rows, left : left + columns] = self.weights
        shape = (grid.across, channels, size[0], grid.frames, size[1], grid.across)
        together = apart.reshape(shape).transpose(0, 1, 2, 4, 3, 5)
        return together.reshape(grid.across, channels, *size, grid.depth)
