"""The loop of ``listen`` and ``daemon``: read the source, feed the stream, tell the sinks. One thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import EdgeSerError
from edge_ser.live.events import Change, Event, MicrophoneState, Overrun, Status
from edge_ser.live.sinks import Sink
from edge_ser.live.sources import Block, Source
from edge_ser.live.stream import Stream

log = logging.getLogger(__name__)

POLL_S = 0.25
SILENT_AFTER_S = 10.0
SILENT_LEVEL = 1.5 / 32768  # nothing but the last bit: a muted or dead microphone


class Tap(Protocol):
    """Gets the audio itself; only ``--record`` does."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Take samples at the model's rate."""
        ...

    def close(self) -> None:
        """Finish what was begun."""
        ...


class Listener:
    """Runs until ``stop`` is called or the source is finished.

    ``after_work`` is called after each round in which a window was processed or an absent device was really
    asked for: that is what feeds a watchdog. A sink that fails is logged and counted, and the rest goes on.
    """

    def __init__(
        self,
        source: Source,
        stream: Stream,
        sinks: Sequence[Sink],
        *,
        heartbeat_s: float = 30.0,
        tap: Tap | None = None,
        after_work: Callable[[], None] = lambda: None,
    ) -> None:
        self.source = source
        self.stream = stream
        self.overruns = 0
        self.recoveries = 0
        self.changes = 0
        self.sink_errors = 0
        self._sinks = sinks
        self._tap = tap
        self._after_work = after_work
        self._heartbeat_s = heartbeat_s
        self._next_heartbeat_s = time.monotonic()
        self._started_s = time.monotonic()
        self._lost_s = 0.0
        self._microphone = ""
        self._quiet = 0  # samples of digital silence in a row
        self._stopped = False

    def stop(self) -> None:
        """End ``run`` within a quarter of a second; may be called from a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Listen. The source and the sinks are closed at the end, whatever ended it."""
        try:
            while not self._stopped and not self.source.finished:
                self.step()
            self._tell(self.status())
        finally:
            self.close()

    def step(self) -> None:
        """One round: at most one block, at most ``POLL_S`` of waiting."""
        work = self.stream.windows + self.source.polls
        block = self.source.read(POLL_S)
        if block is not None:
            self._hear(block)
        self._watch_microphone()
        if self.stream.windows + self.source.polls > work:
            self._after_work()
        now_s = time.monotonic()
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + self._heartbeat_s
            self._tell(self.status())

    def close(self) -> None:
        """Give back the device, finish the recording, and let every sink say goodbye."""
        for part in (self.source, self._tap, *self._sinks):
            if part is None:
                continue
            try:
                part.close()
            except (OSError, EdgeSerError) as error:
                log.warning("closing: %s", error)

    def status(self) -> Status:
        """The heartbeat: what is true now."""
        decision = self.stream.decision
        counters = {
            "uptime_s": time.monotonic() - self._started_s,
            "heard_s": self.stream.time_s - self._lost_s,
            "lost_s": self._lost_s,
            "windows": self.stream.windows,
            "scored": self.stream.scored,
            "changes": self.changes,
            "overruns": self.overruns,
            "recoveries": self.recoveries,
            "sink_errors": self.sink_errors,
        }
        return Status(
            self.stream.time_s,
            decision.label,
            decision.probability,
            decision.scores,
            self._microphone or self.source.state,
            self.source.name,
            self.stream.level_db,
            self.stream.hop_s,
            counters,
        )

    def _hear(self, block: Block) -> None:
        if block.overruns or block.lost_s:
            self.overruns += block.overruns
            self._lost_s += block.lost_s
            events = self.stream.cut(block.lost_s)
            if block.overruns:
                log.warning("overrun: samples were lost; %d so far", self.overruns)
                events.append(Overrun(self.stream.time_s, self.overruns, block.lost_s))
            self._tell(*events)
        loud = len(block.samples) and float(np.abs(block.samples).max()) > SILENT_LEVEL
        self._quiet = 0 if loud else self._quiet + len(block.samples)
        if self._tap is not None:
            self._tap.write(block.samples)
        self._tell(*self.stream.feed(block.samples, self.source.backlog_s))

    def _watch_microphone(self) -> None:
        state, reason = self.source.state, self.source.reason
        if state == "listening" and self._quiet >= SILENT_AFTER_S * self.stream.rate_hz:
            state, reason = "silent", f"digital silence for {SILENT_AFTER_S:.0f} s: muted or unplugged?"
        if state in (self._microphone, "starting"):
            return
        if state == "listening" and self._microphone in ("absent", "stalled"):
            self.recoveries += 1
        was, self._microphone = self._microphone, state
        if state in ("absent", "stalled"):
            self._tell(*self.stream.interrupt())
        level = logging.INFO if state == "listening" else logging.WARNING
        if was or state != "listening":
            log.log(level, "microphone %s: %s%s", state, self.source.name, f" ({reason})" if reason else "")
        self._tell(MicrophoneState(self.stream.time_s, state, self.source.name, reason))

    def _tell(self, *events: Event) -> None:
        for event in events:
            self.changes += isinstance(event, Change)
            for sink in self._sinks:
                try:
                    sink.handle(event)
                except BrokenPipeError:  # whoever read our output has left
                    self._stopped = True
                except (OSError, EdgeSerError) as error:
                    self.sink_errors += 1
                    log.warning("%s: %s", type(sink).__name__, error)
