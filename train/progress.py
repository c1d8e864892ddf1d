"""How a fit tells what it is doing: a bar that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 24


class Progress:
    """Progress of one fit of ``epochs`` epochs of ``steps`` steps, under ``title``."""

    def __init__(self, title: str, epochs: int, steps: int, stream: TextIO | None = None) -> None:
        self.title, self.epochs, self.steps = title, epochs, steps
        self.stream = sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self.begun_s = time.monotonic()
        self.first_epoch: int | None = None
        self.drawn_s = 0.0

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Step ``step`` of epoch ``epoch`` (both from 0) is done; drawn at most five times a second."""
        now_s = time.monotonic()
        if self.first_epoch is None:
            self.first_epoch = epoch
        if not self.terminal or now_s - self.drawn_s < 0.2:
            return
        self.drawn_s = now_s
        done = (step + 1) / self.steps
        bar = "█" * round(done * WIDTH)
        self._write(f"\r{self._head(epoch)} {bar:░<{WIDTH}} loss {loss:.3f} {self._left(epoch + done)}\x1b[K")

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Epoch ``epoch`` (from 0) is done with these figures."""
        if self.first_epoch is None:
            self.first_epoch = epoch
        text = "  ".join(f"{name} {value:.3g}" for name, value in figures.items() if name != "epoch")
        line = f"{self._head(epoch)} {text}  {self._left(epoch + 1)}"
        self._write(f"\r{line}\x1b[K" if self.terminal else f"{line}\n")

    def close(self) -> None:
        """End the bar's line."""
        if self.terminal:
            self._write("\n")

    def _head(self, epoch: int) -> str:
        return f"{self.title}  epoch {epoch + 1}/{self.epochs}"

    def _left(self, done: float) -> str:
        seen = done - (self.first_epoch or 0)
        if seen <= 0:
            return ""
        left_s = (time.monotonic() - self.begun_s) / seen * (self.epochs - done)
        return f"ETA {int(left_s) // 60}:{int(left_s) % 60:02d}"

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
