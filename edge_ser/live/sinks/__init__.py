"""Who hears what the stream says. A sink is one file with one class; adding one is adding a file here and an
option in edge_ser.cli.live."""

from __future__ import annotations

from typing import Protocol

from edge_ser.live.events import Event


class Sink(Protocol):
    """Gets every event, in order, from the listener's thread.

    ``handle`` must not wait for the outside world. It may raise OSError or EdgeSerError: the event is then
    lost for this sink, which is counted, and the run goes on.
    """

    def handle(self, event: Event) -> None:
        """Take an event."""
        ...

    def close(self) -> None:
        """Say goodbye and give back what is held; takes a second at most."""
        ...
