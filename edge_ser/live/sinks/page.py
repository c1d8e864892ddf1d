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
import socketserver
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_ser.errors import ConfigError
from edge_ser.live.events import Event, Status, Window

log = logging.getLogger(__name__)

HISTORY_S = 300.0
MAX_VIEWERS = 8
VIEWER_QUEUE = 200
MAX_LINE, MAX_LINES = 8192, 100  # of a request
REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
HEADERS = (
    "Server: edge_ser",
    "Cache-Control: no-store",
    "Content-Security-Policy: default-src 'self'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Connection: close",
)
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
        self._windows: deque[tuple[float, str]] = deque()  # as JSON, which takes a third of a record's memory
        self._notes: deque[str] = deque(maxlen=50)
        self._status = "null"
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
        message = json.dumps(event.record(), separators=(",", ":"))
        with self._lock:
            if isinstance(event, Window):
                self._windows.append((event.time_s, message))
                while self._windows[0][0] < event.time_s - HISTORY_S:
                    self._windows.popleft()
            elif isinstance(event, Status):
                self._status = message
            else:
                self._notes.append(message)
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
            windows = ",".join(message for _, message in self._windows)
            so_far = f'"windows":[{windows}],"notes":[{",".join(self._notes)}],"status":{self._status}'
        about = json.dumps({"v": 1, "type": "hello", **self._about}, separators=(",", ":"))
        return f"{about[:-1]},{so_far}}}", viewer

    def leave(self, viewer: queue.Queue[str | None]) -> None:
        """The viewer is gone."""
        with self._lock, contextlib.suppress(ValueError):
            self._viewers.remove(viewer)

    def watches(self, viewer: queue.Queue[str | None]) -> bool:
        """Whether the viewer still gets events; one that was too slow does not."""
        with self._lock:
            return viewer in self._viewers


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], page: PageSink, host: str) -> None:
        self.page = page
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        name = socket.gethostname().lower()
        self.names = {"localhost", name, f"{name}.local", host.lower()}
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("live page: a viewer left in the middle of an answer")


class _Handler(socketserver.StreamRequestHandler):
    """One request, as HTTP/1.0: a connection kept alive would outlive a reload and show what is over.

    http.server would bring 5 MiB along: parsers of e-mail, and OpenSSL.
    """

    server: _Server
    timeout = 30

    def handle(self) -> None:
        request = self._request()
        if request is None:
            self._answer(400, b"No HTTP request.\n")
            return
        method, path, host = request
        log.debug("live page: %s %s %s", self.client_address[0], method, path)
        if not self._is_ours(host):
            self._answer(403, b"Unknown host name: use the address or name of this machine.\n")
        elif method != "GET":
            self._answer(405, b"There is only GET.\n")
        elif path == "/events":
            self._events()
        elif path in FILES:
            name, kind = FILES[path]
            self._answer(200, Path(__file__).with_name(name).read_bytes(), kind)
        else:
            self._answer(404, b"Not here.\n")

    def _request(self) -> tuple[str, str, str] | None:
        """Method, path and host name of the request; None for what is none or has too long or many lines."""
        lines = []
        for _ in range(MAX_LINES):
            line = self.rfile.readline(MAX_LINE).decode("latin-1")
            if not line.endswith("\n"):
                return None
            if not line.strip():
                break
            lines.append(line)
        else:
            return None
        words = lines[0].split() if lines else []
        hosts = [line[5:].strip().lower() for line in lines[1:] if line[:5].lower() == "host:"]
        if len(words) != 3 or not words[2].startswith("HTTP/") or len(hosts) > 1:
            return None
        return words[0], words[1], "".join(hosts)

    def _is_ours(self, host: str) -> bool:
        """A page elsewhere must not reach us under a name of its own (DNS rebinding)."""
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.server.names
        return True

    def _events(self) -> None:
        joined = self.server.page.join()
        if joined is None:
            self._answer(503, f"{MAX_VIEWERS} viewers already.\n".encode())
            return
        so_far, viewer = joined
        try:
            self._start(200, "text/event-stream")
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

    def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self._start(status, kind, len(body))
        self.wfile.write(body)

    def _start(self, status: int, kind: str, length: int | None = None) -> None:
        lines = [f"HTTP/1.0 {status} {REASONS[status]}", f"Content-Type: {kind}", *HEADERS]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT``, or a port alone for loopback."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--http {address!r}: give HOST:PORT, such as 127.0.0.1:8420")
    return host, int(port)
