"""Where live audio comes from: a pipe, or a file played in real time. The microphone is in
edge_ser.live.microphone.

A source gives blocks of mono float32 at the model's rate. ``read`` waits at most ``timeout_s`` and then
says None, so whoever reads can look after other things; ``finished`` turns true when nothing will ever come
again.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import AudioError
from edge_ser.resample import Resampler

BLOCK_S = 0.1


@dataclass(frozen=True)
class Block:
    """Audio as it arrived: ``samples`` float32 [n] in ±1.0 at the model's rate.

    ``overruns`` counts the losses since the block before; ``lost_s`` is about how much was lost.
    """

    samples: NDArray[np.float32]
    overruns: int = 0
    lost_s: float = 0.0


class Source(Protocol):
    """What the listener needs from audio."""

    name: str
    state: str  # "starting", "listening", "absent" or "stalled"
    reason: str  # why it is not listening
    finished: bool
    polls: int  # how often a device that is away was really asked for

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that have arrived and were not read yet."""
        ...

    def read(self, timeout_s: float) -> Block | None:
        """The next block, or None when there is none within ``timeout_s``."""
        ...

    def close(self) -> None:
        """Give the device or file back."""
        ...


class PipeSource:
    """Raw PCM (signed 16-bit little-endian mono) from a pipe, such as ``arecord -t raw … | edge-ser listen
    -``.
    """

    state = "listening"
    reason = ""
    backlog_s = 0.0  # the pipe holds what we have not read, and its writer waits

    def __init__(
        self, stream: BinaryIO, rate_hz: int, model_rate_hz: int, name: str = "standard input"
    ) -> None:
        self.name = name
        self.finished = False
        self.polls = 0
        self._fd = stream.fileno()
        self._stream = stream
        self._bytes = 2 * int(rate_hz * BLOCK_S)
        self._odd = b""
        self._resample = Resampler(rate_hz, model_rate_hz)

    def read(self, timeout_s: float) -> Block | None:
        self.polls += 1
        if self.finished or not select.select([self._fd], [], [], timeout_s)[0]:
            return None
        data = os.read(self._fd, self._bytes)
        if not data:
            self.finished = True
            rest = self._resample(np.zeros(0, np.float32), last=True)
            return Block(rest) if len(rest) else None
        data = self._odd + data
        whole = len(data) & ~1
        self._odd = data[whole:]
        return Block(self._resample(pcm16_to_float(data[:whole])))

    def close(self) -> None:
        """The pipe belongs to whoever opened it."""


class FileSource:
    """A recording given out in real time (or, with ``paced=False``, as fast as it is read).

    ``blocks`` are mono float32 pieces of any length at the model's rate, such as an
    ``edge_ser.audio.AudioReader``.
    """

    state = "listening"
    reason = ""

    def __init__(
        self, blocks: Iterable[NDArray[np.float32]], rate_hz: int, *, name: str, paced: bool = True
    ) -> None:
        self.name = name
        self.finished = False
        self.polls = 0
        self._pieces = _pieces(blocks, int(rate_hz * BLOCK_S))
        self._piece = next(self._pieces, None)
        if self._piece is None:
            raise AudioError(f"{name}: no samples to play; give a recording that is not empty")
        self._rate_hz = rate_hz
        self._paced = paced
        self._given = 0
        self._start_s: float | None = None

    @property
    def backlog_s(self) -> float:
        if not self._paced or self._start_s is None or self.finished:
            return 0.0
        return max(0.0, time.monotonic() - self._start_s - self._given / self._rate_hz - BLOCK_S)

    def read(self, timeout_s: float) -> Block | None:
        if self._piece is None:
            return None
        if self._start_s is None:
            self._start_s = time.monotonic()
        if self._paced:
            due_s = self._start_s + (self._given + len(self._piece)) / self._rate_hz - time.monotonic()
            if due_s > 0:
                time.sleep(min(due_s, timeout_s))
            if due_s > timeout_s:
                return None
        block = Block(self._piece)
        self._given += len(self._piece)
        self._piece = next(self._pieces, None)
        self.finished = self._piece is None
        return block

    def close(self) -> None:
        """The reader closes its file when it has been read, or is forgotten."""


def _pieces(blocks: Iterable[NDArray[np.float32]], n: int) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        for start in range(0, len(block), n):
            yield block[start : start + n]


def pcm16_to_float(data: bytes) -> NDArray[np.float32]:
    """Signed 16-bit little-endian PCM to float32 in [-1, 1)."""
    return np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)
