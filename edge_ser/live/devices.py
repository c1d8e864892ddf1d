"""Microphones as PortAudio sees them: the list, and the choice of one by name, index or ALSA string."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.errors import DeviceError
from edge_ser.live import native_messages

RATES_HZ = (16000, 48000, 44100, 32000, 24000, 22050, 96000, 8000)
ALSA_ALIAS = "edge_ser_capture"


@dataclass(frozen=True)
class Device:
    """An input device: PortAudio's index and name, the host API, its most channels and the rates it takes."""

    index: int
    name: str
    host_api: str
    max_channels: int
    default_rate_hz: int
    default: bool
    rates_hz: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        """The device as a JSON object."""
        return {"v": 1, "type": "device", **self.__dict__, "rates_hz": list(self.rates_hz)}


def require_pyaudio() -> Any:
    """The module ``pyaudio``, or a ``DeviceError`` that says how to get it."""
    try:
        import pyaudio
    except ImportError as error:
        raise DeviceError(
            f"the microphone needs PyAudio ({error}); run: "
            "sudo apt install portaudio19-dev && pip install 'edge-ser[microphone]'"
        ) from error
    return pyaudio


@contextlib.contextmanager
def portaudio(alsa_string: str | None = None) -> Iterator[Any]:
    """A PyAudio that is terminated at the end; see ``open_portaudio``."""
    audio = open_portaudio(alsa_string)
    try:
        yield audio
    finally:
        audio.terminate()


def open_portaudio(alsa_string: str | None = None) -> Any:
    """A new PyAudio, with the devices that are present now; call its ``terminate()``.

    PortAudio knows ALSA devices by configured names only. For an ALSA string such as
    ``plughw:CARD=Device,DEV=0`` a configuration that names it is given to alsa-lib from memory.
    ``DeviceError`` where PyAudio is not installed.
    """
    pyaudio = require_pyaudio()
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    if alsa_string is not None and is_alsa_string(alsa_string):
        _name_alsa_string(alsa_string)
    native_messages.catch()
    try:
        return pyaudio.PyAudio()
    finally:
        native_messages.log_caught()


def list_devices(audio: Any, with_rates: bool = False) -> list[Device]:
    """All devices with at least one input channel; asking for the rates opens each for a moment."""
    try:
        default_index = audio.get_default_input_device_info()["index"]
    except OSError:
        default_index = -1
    devices = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxInputChannels"] < 1:
            continue
        api = audio.get_host_api_info_by_index(info["hostApi"])["name"]
        rates = tuple(sorted(rate for rate in RATES_HZ if with_rates and accepts(audio, index, rate, info)))
        devices.append(
            Device(
                index, info["name"], api, info["maxInputChannels"], int(info["defaultSampleRate"]),
                index == default_index, rates,
            )
        )  # fmt: skip
    return devices


def accepts(audio: Any, index: int, rate_hz: int, info: dict[str, Any], channels: int | None = None) -> bool:
    """Whether the device captures signed 16-bit at this rate (with one channel, or with two if it must)."""
    import pyaudio

    for count in (1, 2) if channels is None else (channels,):
        if count <= info["maxInputChannels"]:
            with contextlib.suppress(ValueError, OSError):
                if audio.is_format_supported(
                    rate_hz, input_device=index, input_channels=count, input_format=pyaudio.paInt16
                ):
                    return True
    return False


def is_alsa_string(wanted: str | None) -> bool:
    """``hw:1,0`` and ``plughw:CARD=Device,DEV=0`` are ALSA strings; names and indices have no colon."""
    return wanted is not None and ":" in wanted and not set(wanted) & set("\"'\\\n{}")


def choose(devices: list[Device], wanted: str | None) -> Device:
    """The device that ``wanted`` means: None the default, digits an index, else a part of the name in any
    case.

    ``DeviceError`` names what there is when nothing or more than one device fits.
    """
    if not devices:
        raise DeviceError("no microphone found; plug one in and look at: edge-ser devices")
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    if wanted.isdigit():
        fits = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name.lower() == wanted.lower()]
        fits = exact or [device for device in devices if wanted.lower() in device.name.lower()]
    if not fits and is_alsa_string(wanted):
        fits = [device for device in devices if device.name == ALSA_ALIAS]
    if not fits:
        names = ", ".join(repr(device.name) for device in devices)
        raise DeviceError(f"no microphone fits {wanted!r}; there are {names}")
    if len(fits) > 1:
        names = ", ".join(f"{device.index} {device.name!r}" for device in fits)
        raise DeviceError(
            f"{wanted!r} fits more than one microphone: {names}; give more of the name or the index"
        )
    return fits[0]


def _name_alsa_string(alsa_string: str) -> None:
    """Have alsa-lib read, from memory, a configuration that gives the string a name that PortAudio will find.

    alsa-lib looks at its configuration again at every open, so this one stays for the life of the process.
    """
    text = f'pcm.{ALSA_ALIAS} {{ type empty slave.pcm "{alsa_string}" }}\n'
    files = os.environ.get("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf").split(":")
    if files[-1].startswith("/proc/self/fd/"):
        if Path(files[-1]).read_text() == text:
            return
        os.close(int(Path(files.pop()).name))
    fd = os.memfd_create("edge-ser-alsa.conf", 0)
    os.write(fd, text.encode())
    os.environ["ALSA_CONFIG_PATH"] = ":".join([*files, f"/proc/self/fd/{fd}"])
