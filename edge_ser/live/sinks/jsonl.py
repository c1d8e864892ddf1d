"""JSON lines, one object an event (docs/formats.md)."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import IO

from edge_ser.live.events import Event, Window


class JsonLinesSink:
    """Writes each event as a line; single windows only where ``windows`` is asked for.

    ``at`` is the wall clock, for people; nothing here is computed with it.
    """

    def __init__(self, out: IO[str] | None = None, windows: bool = True) -> None:
        self._out = out if out is not None else sys.stdout
        self._windows = windows

    def handle(self, event: Event) -> None:
        if isinstance(event, Window) and not self._windows:
            return
        record = event.record() | {"at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        self._out.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._out.flush()

    def close(self) -> None:
        """The stream belongs to whoever opened it."""
