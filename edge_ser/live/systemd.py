"""What a service owes systemd: readiness, a fed watchdog, and log lines with priorities.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd-daemon(3): a datagram to
$NOTIFY_SOCKET, and ``<N>`` before each line on standard error.
"""

from __future__ import annotations

import logging
import os
import socket
import time

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def notify(*assignments: str) -> bool:
    """Send ``READY=1`` and the like, without waiting; False where nobody asked for it or nobody reads."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address[0] == "@":  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.connect(address)
            channel.send("\n".join(assignments).encode())
        except BlockingIOError:
            return False
    return True


class Watchdog:
    """Tells systemd that work is being done, at most four times in the interval that it allows."""

    def __init__(self) -> None:
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if mine else 0.0
        self._fed_s = float("-inf")

    def feed(self) -> None:
        """Call after real work."""
        now_s = time.monotonic()
        if self.interval_s and now_s - self._fed_s >= self.interval_s / 4:
            notify("WATCHDOG=1")
            self._fed_s = now_s


class JournalFormatter(logging.Formatter):
    """Puts the priority that the journal reads before each line."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITY.get(record.levelno, 5)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class RateLimit(logging.Filter):
    """Lets each message (by its unformatted text) through once a minute; says how many were held back."""

    def __init__(self, interval_s: float = 60.0) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, str(record.msg))
        now_s = time.monotonic()
        last_s, held = self._seen.get(key, (float("-inf"), 0))
        if now_s - last_s < self._interval_s:
            self._seen[key] = (last_s, held + 1)
            return False
        self._seen[key] = (now_s, 0)
        if held:
            record.msg = f"{record.msg} ({held} more in the last {self._interval_s:.0f} s or longer)"
        return True


def to_journal() -> bool:
    """Whether standard error goes to the journal (sd_journal_stream's device and inode, as systemd gives
    them).
    """
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        about = os.fstat(2)
    except (ValueError, OSError):
        return False
    return (about.st_dev, about.st_ino) == (int(device), int(inode))
