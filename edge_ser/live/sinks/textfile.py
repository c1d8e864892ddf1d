"""Counters as a file for Prometheus' textfile collector (node_exporter --collector.textfile.directory)."""

from __future__ import annotations

from pathlib import Path

from edge_ser.live.events import MICROPHONE_STATES, Event, Status

_HELP = {
    "uptime_s": ("uptime_seconds", "gauge", "Seconds since the start."),
    "heard_s": ("heard_seconds_total", "counter", "Seconds of sound heard."),
    "lost_s": ("lost_seconds_total", "counter", "Seconds of sound known to be lost."),
    "windows": ("windows_total", "counter", "Decisions made, one per hop."),
    "scored": ("scored_windows_total", "counter", "Windows with speech that the model scored."),
    "changes": ("changes_total", "counter", "Announced changes of the label."),
    "overruns": ("overruns_total", "counter", "Times that samples were lost."),
    "recoveries": ("microphone_recoveries_total", "counter", "Times that the microphone came back."),
    "sink_errors": ("sink_errors_total", "counter", "Events that a listener could not take."),
}


class TextfileSink:
    """Replaces ``path`` at every heartbeat, atomically: a reader sees the old file or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Made once: pathlib interns each name, and names that were interned and forgotten make Python's table
        # of them grow in the end, by a megabyte at once.
        self._new = path.with_name(f".{path.name}.new")

    def handle(self, event: Event) -> None:
        if not isinstance(event, Status):
            return
        try:
            self._new.write_text(render(event))
            self._new.replace(self._path)
        except OSError:
            self._new.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """The last file stays; its age says that nobody writes it any more."""


def render(status: Status) -> str:
    """The heartbeat in Prometheus' text format 0.0.4."""
    lines = []

    def add(name: str, kind: str, text: str, samples: dict[str, float]) -> None:
        lines.append(f"# HELP edge_ser_{name} {text}")
        lines.append(f"# TYPE edge_ser_{name} {kind}")
        lines.extend(f"edge_ser_{name}{labels} {value:.15g}" for labels, value in samples.items())

    for key, (name, kind, text) in _HELP.items():
        add(name, kind, text, {"": round(status.counters[key], 3)})
    add("level_dbfs", "gauge", "Level of the sound.", {"": round(status.level_db, 2)})
    add("hop_seconds", "gauge", "Seconds between decisions.", {"": status.hop_s})
    states = {f'{{state="{state}"}}': float(state == status.microphone) for state in MICROPHONE_STATES}
    add("microphone", "gauge", "1 for the microphone's state.", states)
    add("emotion", "gauge", "1 for the announced label.", {f'{{label="{_escape(status.label)}"}}': 1.0})
    scores = {f'{{label="{_escape(label)}"}}': p for label, p in status.scores.items()}
    if scores:
        add("probability", "gauge", "Smoothed probability.", scores)
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
