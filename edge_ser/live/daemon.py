"""Runs a listener as a service: signals, systemd's notifications and watchdog, reload, a stuck driver."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Generic, TypeVar

from edge_ser.errors import EdgeSerError
from edge_ser.live.events import Change, Event, HopChanged, MicrophoneState
from edge_ser.live.listener import Listener
from edge_ser.live.microphone import DriverStuckError
from edge_ser.live.systemd import Watchdog, notify

log = logging.getLogger(__name__)


Settings = TypeVar("Settings")


class Daemon(Generic[Settings]):
    """``read`` gives the configuration as it is now, ``build`` makes a listener of it; both again on
    SIGHUP.

    A configuration that is wrong at the start is an error; one that is wrong on reload is logged, and the
    listener goes on as before. SIGTERM and SIGINT end ``run`` within two seconds.
    """

    def __init__(
        self, read: Callable[[], Settings], build: Callable[[Settings, Callable[[], None]], Listener]
    ) -> None:
        self._read = read
        self._build = build
        self._watchdog = Watchdog()
        self._listener: Listener | None = None
        self._ended = False
        self._reload = False

    def run(self) -> None:
        """Serve until told to end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_end)
        signal.signal(signal.SIGHUP, self._on_reload)
        settings = self._read()
        self._listener = self._build(settings, self._watchdog.feed)
        while not self._ended:
            self._reload = False
            notify("READY=1")
            try:
                self._listener.run()
            except DriverStuckError as error:
                log.error("%s", error)
                start_again()
            if not self._reload:
                break
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            settings = self._rebuild(settings)
        notify("STOPPING=1")

    def _rebuild(self, before: Settings) -> Settings:
        try:
            settings = self._read()
            self._listener = self._build(settings, self._watchdog.feed)
        except EdgeSerError as error:
            log.error("not reloaded, going on as before: %s", error)
            self._listener = self._build(before, self._watchdog.feed)
            return before
        log.info("configuration reloaded")
        return settings

    def _on_end(self, _number: int, _frame: FrameType | None) -> None:
        self._ended = True
        self._stop()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload = True
        self._stop()

    def _stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()


class StatusSink:
    """The line that ``systemctl status`` shows."""

    def __init__(self) -> None:
        self._label = ""
        self._microphone = ""

    def handle(self, event: Event) -> None:
        if isinstance(event, Change):
            self._label = event.label
            log.info("%s %.0f %%", event.label, 100 * event.probability) if event.scores else log.info(
                event.label
            )
        elif isinstance(event, MicrophoneState):
            self._microphone = f"{event.state}: {event.device}"
        else:
            if isinstance(event, HopChanged):
                log.warning("deciding every %g s, %.1f s of sound waiting", event.hop_s, event.backlog_s)
            return
        notify(f"STATUS=microphone {self._microphone}; {self._label or 'nothing heard yet'}")

    def close(self) -> None:
        """systemd forgets by itself."""


def start_again() -> None:
    """Replace this process by a fresh one with the same arguments and the same process id."""
    log.error("starting again in a new process")
    for handler in logging.getLogger().handlers:
        handler.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
