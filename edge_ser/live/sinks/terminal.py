"""The live view in a terminal: bars that move in place, and below them what was announced.

Where the output is not a terminal, only the announcements are written, a line each.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections import deque
from collections.abc import Sequence
from typing import TextIO

from edge_ser.bars import bar, paint
from edge_ser.live.events import Change, Event, HopChanged, MicrophoneState, Overrun, Window

_LEVELS = " ▁▂▃▄▅▆▇█"
_LOG_LINES = 5


class TerminalSink:
    """Draws on ``out`` at every window; ``banner`` stays: a warning about recording."""

    def __init__(
        self, labels: Sequence[str], model: str, out: TextIO | None = None, banner: str = ""
    ) -> None:
        self._out = out if out is not None else sys.stdout
        self._live = self._out.isatty()
        self._labels = list(labels)
        self._model = model
        self._banner = banner
        self._lines_up = 0
        self._levels: deque[tuple[float, str]] = deque(maxlen=240)
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._microphone = "waiting for the microphone"
        self._windows = self._scored = self._overruns = 0
        if self._live:
            self._out.write("\x1b[?25l")  # no cursor
        elif banner:
            self._out.write(banner + "\n")

    def handle(self, event: Event) -> None:
        if isinstance(event, Window):
            self._windows += 1
            self._scored += bool(event.window_scores)
            self._levels.append((event.level_db, event.label))
            if self._live:
                self._draw(event)
        else:
            self._note(event)

    def close(self) -> None:
        if self._live:
            self._out.write("\x1b[?25h")
        self._out.flush()

    def _note(self, event: Event) -> None:
        stamp = clock(event.time_s)
        if isinstance(event, Change):
            share = f" {event.probability:4.0%}" if event.scores else ""
            line = f"{stamp}  {self._paint(event.label, event.label)}{share}"
        elif isinstance(event, MicrophoneState):
            self._microphone = f"{event.state}: {event.device}"
            line = f"{stamp}  microphone {event.state}{f': {event.reason}' if event.reason else ''}"
        elif isinstance(event, Overrun):
            self._overruns = event.count
            line = f"{stamp}  overrun {event.count}, about {event.lost_s:.2f} s lost"
        elif isinstance(event, HopChanged):
            line = f"{stamp}  hop {event.hop_s:g} s, {event.backlog_s:.1f} s behind"
        else:
            return
        self._log.append(line)
        if not self._live:
            self._out.write(line + "\n")
            self._out.flush()

    def _draw(self, window: Window) -> None:
        size = shutil.get_terminal_size()
        columns = max(40, min(size.columns, 100))
        name_width = max(len(label) for label in self._labels) + 1
        bar_width = columns - name_width - 12
        lines = [
            f" edge_ser · {self._model} · {self._microphone}"[: columns - 10].ljust(columns - 10)
            + clock(window.time_s)
        ]
        if self._banner:
            lines.append(f" \x1b[1;37;41m {self._banner} \x1b[0m")
        title = window.label.upper() + (f"  {window.probability:.0%}" if window.scores else "")
        lines += ["", "  \x1b[1m" + self._paint(window.label, title) + "\x1b[0m", ""]
        for label in self._labels:
            share = window.scores.get(label, 0.0)
            number = f"{share:5.0%}" if window.scores else "    –"
            lines.append(f"  {label:<{name_width}} {self._paint(label, bar(share, bar_width))} {number}")
        recent = list(self._levels)[-(columns - 14) :]
        history = "".join(self._paint(label, level_glyph(level)) for level, label in recent)
        lines += ["", f"  {window.level_db:4.0f} dB  {history}", ""]
        lines += [f"  {line}" for line in self._log] + [""] * (_LOG_LINES - len(self._log))
        lines += [
            "",
            f"  hop {window.hop_s:g} s · {self._windows} windows, {self._scored} with speech · "
            f"{self._overruns} overruns · Ctrl-C ends",
        ]
        lines = lines[: max(1, size.lines - 1)]  # what does not fit would scroll the rest away
        up = f"\x1b[{self._lines_up}F" if self._lines_up else ""
        self._out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self._out.flush()
        self._lines_up = len(lines)

    def _paint(self, label: str, text: str) -> str:
        return paint(label, text) if self._live else text


def level_glyph(level_db: float) -> str:
    """-60 dBFS and less is the lowest block, -10 dBFS and more the highest."""
    step = round((level_db + 60) / 50 * 7) + 1 if math.isfinite(level_db) else 0
    return _LEVELS[min(max(step, 1), 8)]


def clock(time_s: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(time_s)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
