"""Real parts for the tests of the live side: a file as an ALSA microphone, a broker, the daemon itself."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).parent
RATE_HZ = 16000


def wait_for(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """The first true value of ``condition``; the test fails when there is none in time."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"nothing happened within {within_s} s")


def murmur(seconds: float, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    """Something to hear, as raw 16-bit PCM: a vowel-like sound with a syllable rhythm."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    voice = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 12))
    sound = 0.1 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t))
    return np.repeat(np.rint(sound * 32767).astype("<i2")[:, None], channels, 1).tobytes()


def recording(corpus: str, name: str) -> NDArray[np.float32]:
    """A recording of a corpus as float32 at 16 kHz; the test is skipped where the corpora are not there."""
    root = os.environ.get("EDGE_SER_CORPORA")
    if not root:
        pytest.skip("EDGE_SER_CORPORA is not set")
    import soundfile

    samples, rate_hz = soundfile.read(Path(root) / corpus / name, dtype="float32")
    assert rate_hz == RATE_HZ
    return np.asarray(samples)


class FileMicrophone:
    """Our ALSA plug-in, playing ``sound`` for ever; ``switch`` turns its faults on and off."""

    def __init__(self, folder: Path, plugin: Path, sound: bytes, **options: int) -> None:
        self._sound = folder / "microphone.s16"
        self._sound.write_bytes(sound)
        settings = "".join(f" {key} {value}" for key, value in options.items())
        self.config = folder / "asound.conf"
        self.config.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm_type.file_microphone {{ lib "{plugin}" }}\n'
            f'pcm.filemic {{ type file_microphone file "{self._sound}"{settings}'
            ' hint { show on description "A file, played as a microphone" } }\n'
        )

    def switch(self, fault: str, on: bool) -> None:
        """``unplug``, ``stuck``, ``stall`` or ``hang``, as the plug-in explains them."""
        path = Path(f"{self._sound}.{fault}")
        path.touch() if on else path.unlink()

    @property
    def starts(self) -> int:
        """How often the capture was started since ``switch("starts", True)``."""
        return Path(f"{self._sound}.starts").stat().st_size


@pytest.fixture(scope="session")
def alsa_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, compiled."""
    pytest.importorskip("pyaudio")
    if not Path("/usr/include/alsa/asoundlib.h").exists():
        pytest.skip("libasound2-dev is not installed")
    library = tmp_path_factory.mktemp("alsa") / "file_microphone.so"
    source = HERE / "alsa" / "file_microphone.c"
    subprocess.run(
        ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, source, "-lasound"],
        check=True,
    )
    return library


@pytest.fixture
def make_microphone(
    alsa_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FileMicrophone]:
    """Makes the microphone that PortAudio will find in this process and its children."""

    def make(sound: bytes, **options: int) -> FileMicrophone:
        microphone = FileMicrophone(tmp_path, alsa_plugin, sound, **options)
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(microphone.config))
        return microphone

    return make


class Service:
    """``edge-ser daemon`` as a process, with a notification socket as systemd would give it."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        watchdog_s: float = 0,
        python: str = sys.executable,
        **environment: str,
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / f"notify-{time.monotonic_ns()}"
        self.socket.bind(str(address))
        self.socket.setblocking(False)
        self.notes: list[str] = []
        self.output = folder / f"{address.name}.out"
        self.errors = folder / f"{address.name}.err"
        environment |= {"NOTIFY_SOCKET": str(address)}
        if watchdog_s:
            environment |= {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
        with self.output.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                [python, "-m", "edge_ser", "daemon", "--json", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **environment},
            )  # fmt: skip

    def told(self, what: str) -> int:
        """How many notifications held ``what`` so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.notes += self.socket.recv(4096).decode().splitlines()
        return sum(what in note for note in self.notes)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The JSON records of this type so far."""
        lines = self.output.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in found if record["type"] == kind]

    def stop(self, within_s: float = 10) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(within_s)


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services; those that still run at the end are killed."""
    services: list[Service] = []

    def start(*arguments: str, **options: Any) -> Service:
        services.append(Service(tmp_path, *arguments, **options))
        return services[-1]

    yield start
    for service in services:
        service.process.kill()
        service.process.wait()
        service.socket.close()


class MosquittoBroker:
    """Debian's Mosquitto on a port of its own; ``users`` makes it ask for a password, ``tls`` encrypts.

    ``certificate`` is what proves it then; it signed it itself.
    """

    def __init__(self, folder: Path, users: dict[str, str] | None = None, tls: bool = False) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed")
        self._program = program
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config = folder / f"mosquitto-{self.port}.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            "user root",
        ]
        if users:
            passwords = folder / "passwords"
            passwords.touch()
            passwords.chmod(0o600)
            for user, password in users.items():
                subprocess.run(
                    ["mosquitto_passwd", "-b", passwords, user, password], check=True, capture_output=True
                )
            lines.append(f"password_file {passwords}")
        if tls:
            self.certificate, key = folder / "certificate.pem", folder / "key.pem"
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
            command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key)]
            subprocess.run([*command, "-out", self.certificate], check=True, capture_output=True)
            lines += [f"certfile {self.certificate}", f"keyfile {key}"]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([self._program, "-c", self._config], stderr=subprocess.DEVNULL)

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False

        wait_for(answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., MosquittoBroker]]:
    """Makes brokers; those that still run at the end are stopped."""
    brokers: list[MosquittoBroker] = []

    def make(**options: Any) -> MosquittoBroker:
        brokers.append(MosquittoBroker(tmp_path, **options))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


class Chromium:
    """A real browser without a window, spoken to by the DevTools protocol over a pipe (fd 3 and 4)."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is not installed")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        command = [
            "bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", program, "--headless=new",
            "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'chromium'}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, pass_fds=(to_browser, from_browser), start_new_session=True
        )
        os.close(to_browser)
        os.close(from_browser)
        self._rest = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.complaints: list[str] = []
        self.call("Page.bringToFront")  # pages in the background do not animate
        self.call("Log.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one DevTools command; what the page complained about meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                data = os.read(self._read, 1 << 20)
                assert data, "the browser has ended"
                self._rest += data
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "result" in answer, answer
                return dict(answer["result"])
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.complaints.append(answer["params"]["entry"]["text"])
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(answer["params"]["exceptionDetails"]))

    def open(
        self, address: str, width: int = 1100, height: int = 900, scale: int = 1, dark: bool = True
    ) -> None:
        """Show a page in a window of this size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The page as a PNG, all of its length."""
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))

    def close(self) -> None:
        os.close(self._write)
        os.close(self._read)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    """A fresh browser."""
    chromium = Chromium(tmp_path)
    yield chromium
    chromium.close()
