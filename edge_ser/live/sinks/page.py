"""The live page: the last minutes as a timeline, the scores of now, the microphone's state; by server-sent
events.

It is off by default and stays on this machine unless told otherwise. There is no login: whoever can reach
the address can see what is heard (labels and levels, never sound).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import queue
import socket
import threading
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, ClassVar

from edge_ser.errors import ConfigError
from edge_ser.live.events import Event, Status, Window

log = logging.getLogger(__name__)

HISTORY_S = 300.0
MAX_VIEWERS = 8
VIEWER_QUEUE = 200
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


class PageSink:
    """Serves on ``address`` (``127.0.0.1:8420``; ``[::]:8420`` for everybody) from threads of its own."""

    def __init__(
        self, address: str, *, name: str, labels: Sequence[str], model: str, banner: str = ""
    ) -> None:
        self._about = {"name": name, "labels": list(labels), "model": model, "banner": banner}
        self._lock = threading.Lock()
        self._windows: deque[dict[str, Any]] = deque()
        self._notes: deque[dict[str, Any]] = deque(maxlen=50)
        self._status: dict[str, Any] | None = None
        self._viewers: list[queue.Queue[str | None]] = []
        host, port = split_address(address)
        try:
            self._server = _Server((host, port), self, host)
        except OSError as error:
            raise ConfigError(
                f"--http {address}: {error.strerror or error}; choose another address"
            ) from error
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="live-page", daemon=True).start()
        log.info("live page: http://%s:%d/", f"[{host}]" if ":" in host else host, self.port)

    def handle(self, event: Event) -> None:
        record = event.record()
        with self._lock:
            if isinstance(event, Window):
                self._windows.append(record)
                while self._windows[0]["time_s"] < event.time_s - HISTORY_S:
                    self._windows.popleft()
            elif isinstance(event, Status):
                self._status = record
            else:
                self._notes.append(record)
            if not self._viewers:
                return
            message = json.dumps(record, separators=(",", ":"))
            for viewer in list(self._viewers):
                try:
                    viewer.put_nowait(message)
                except queue.Full:  # a phone that fell asleep: it comes back by itself and gets the history
                    self._viewers.remove(viewer)

    def close(self) -> None:
        with self._lock:
            for viewer in self._viewers:
                with contextlib.suppress(queue.Full):
                    viewer.put_nowait(None)
            self._viewers.clear()
        self._server.shutdown()
        self._server.server_close()

    def join(self) -> tuple[str, queue.Queue[str | None]] | None:
        """A new viewer: everything so far as one message, and the queue of what follows. None when full."""
        viewer: queue.Queue[str | None] = queue.Queue(VIEWER_QUEUE)
        with self._lock:
            if len(self._viewers) >= MAX_VIEWERS:
                return None
            self._viewers.append(viewer)
            so_far = {
                "v": 1,
                "type": "hello",
                **self._about,
                "windows": list(self._windows),
                "notes": list(self._notes),
                "status": self._status,
            }
        return json.dumps(so_far, separators=(",", ":")), viewer

    def leave(self, viewer: queue.Queue[str | None]) -> None:
        """The viewer is gone."""
        with self._lock, contextlib.suppress(ValueError):
            self._viewers.remove(viewer)

    def watches(self, viewer: queue.Queue[str | None]) -> bool:
        """Whether the viewer still gets events; one that was too slow does not."""
        with self._lock:
            return viewer in self._viewers


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], page: PageSink, host: str) -> None:
        self.page = page
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        names = {
            "localhost",
            socket.gethostname().lower(),
            f"{socket.gethostname().lower()}.local",
            host.lower(),
        }
        self.names = names
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("live page: a viewer left in the middle of an answer")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.0"  # a connection kept alive would outlive a reload and show what is over
    server_version = "edge_ser"
    sys_version = ""
    timeout = 30
    HEADERS: ClassVar[dict[str, str]] = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    def do_GET(self) -> None:
        if not self._host_is_ours():
            self._answer(403, b"Unknown host name: use the address or name of this machine.\n", "text/plain")
        elif self.path == "/events":
            self._events()
        elif self.path in FILES:
            name, kind = FILES[self.path]
            self._answer(200, resources.files("edge_ser.live.sinks").joinpath(name).read_bytes(), kind)
        else:
            self._answer(404, b"Not here.\n", "text/plain")

    def _host_is_ours(self) -> bool:
        """A page elsewhere must not reach us under a name of its own (DNS rebinding)."""
        host = self.headers.get("Host", "").lower()
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.server.names
        return True

    def _events(self) -> None:
        joined = self.server.page.join()
        if joined is None:
            self._answer(503, f"{MAX_VIEWERS} viewers already.\n".encode(), "text/plain")
            return
        so_far, viewer = joined
        try:
            self._start(200, {"Content-Type": "text/event-stream"})
            self._send(so_far)
            while self.server.page.watches(viewer):
                try:
                    message = viewer.get(timeout=15)
                except queue.Empty:
                    self.wfile.write(b":\n\n")  # finds out whether anybody is there
                    continue
                if message is None:
                    break
                self._send(message)
        except OSError:
            log.debug("live page: a viewer left")
        finally:
            self.server.page.leave(viewer)

    def _send(self, message: str) -> None:
        self.wfile.write(f"data: {message}\n\n".encode())

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self._start(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, **self.HEADERS}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("live page: %s %s", self.address_string(), format % args)


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT``, or a port alone for loopback."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--http {address!r}: give HOST:PORT, such as 127.0.0.1:8420")
    return host, int(port)
