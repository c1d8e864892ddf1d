"""Curves for TensorBoard, written without TensorFlow; silently absent where the tensorboard package is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


class Board:
    """An event file below ``folder`` that takes one row of figures an epoch."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            return
        self._writer = EventFileWriter(str(folder))

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        """Add the figures of ``epoch`` (from 0), all but its own number."""
        if self._writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=x) for tag, x in figures.items() if tag != "epoch"]
        self._writer.add_event(Event(wall_time=time.time(), step=epoch + 1, summary=Summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
