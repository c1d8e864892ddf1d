"""A microphone that comes back: PyAudio in callback mode, a bounded ring, and recovery from what hardware
does.

PortAudio calls nothing when a device is pulled out, and can spin inside a faulty driver: so ``read`` looks
whether the stream is active and whether frames still come, and opens the device again (with a new PyAudio,
which sees the devices of that moment) every two seconds until it is back.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import DeviceError
from edge_ser.live import native_messages
from edge_ser.live.devices import Device, accepts, choose, list_devices, open_portaudio
from edge_ser.live.sources import Block, pcm16_to_float
from edge_ser.resample import Resampler

log = logging.getLogger(__name__)

# PortAudio takes two blocks as the device's buffer: a quarter of a second may pass before anything is lost.
BLOCK_S = 0.25
RETRY_S = 2.0  # between two attempts to open a device that is away
NO_FRAMES_S = 3.0  # a running device that gives nothing for so long has stalled
CLOSE_S = 1.5  # a device that cannot be closed in this time is stuck in its driver


class DriverStuckError(DeviceError):
    """PortAudio hangs in the driver and cannot be stopped: only a new process helps."""


class Microphone:
    """A capture device as a ``Source``: mono float32 at ``rate_hz``, whatever the device offers.

    ``wanted`` is part of a name, an index, an ALSA string, or None for the default. Nothing raises because
    a device is absent: ``state`` says so, and ``read`` keeps trying. At most ``ring_s`` seconds wait to be
    read; beyond that the oldest are dropped and counted as an overrun, so that what is heard stays fresh.
    """

    finished = False

    def __init__(self, wanted: str | None, rate_hz: int, ring_s: float = 6.0) -> None:
        self.name = wanted or "default"
        self.state = "starting"
        self.reason = ""
        self.polls = 0
        self._wanted = wanted
        self._rate_hz = rate_hz
        self._ring: deque[tuple[bytes, bool, float]] = deque(maxlen=max(2, round(ring_s / BLOCK_S)))
        self._arrived = threading.Condition()
        self._dropped = 0
        self._audio: Any = None
        self._stream: Any = None
        self._next_try_s = 0.0
        self._opened_s = 0.0
        self._last_frame_s = 0.0
        self._interrupted = False
        self._device_rate_hz = rate_hz
        self._channels = 1
        self._resample = Resampler(rate_hz, rate_hz)

    @property
    def backlog_s(self) -> float:
        return len(self._ring) * BLOCK_S

    def read(self, timeout_s: float) -> Block | None:
        if self._stream is None and not self._reopen(timeout_s):
            return None
        with self._arrived:
            if not self._ring:
                self._arrived.wait(timeout_s)
            data, overflowed, arrived_s = self._ring.popleft() if self._ring else (b"", False, 0.0)
            dropped, self._dropped = self._dropped, 0
        if not data:
            self._look_after()
            return None
        self._became("listening", "")
        lost_s = dropped * BLOCK_S
        if overflowed or self._interrupted:
            lost_s += max(0.0, arrived_s - self._last_frame_s - BLOCK_S)
        self._last_frame_s, self._interrupted = arrived_s, False
        return Block(self._mono(data), int(overflowed) + dropped, lost_s)

    def close(self) -> None:
        """Give the device back. ``DriverStuckError`` when PortAudio does not return."""
        stream, audio, self._stream, self._audio = self._stream, self._audio, None, None
        if audio is None:
            return
        stalled = self.state == "stalled"
        closer = threading.Thread(
            target=_close, args=(stream, audio, stalled), name="microphone-close", daemon=True
        )
        closer.start()
        closer.join(CLOSE_S)
        native_messages.log_caught()
        self._ring.clear()
        if closer.is_alive():
            raise DriverStuckError(
                f"{self.name}: the driver hangs and cannot be closed; a new process is needed"
            )

    def _reopen(self, timeout_s: float) -> bool:
        wait_s = self._next_try_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
        if wait_s > timeout_s:
            return False
        self.polls += 1
        try:
            self._open()
        except (DeviceError, OSError) as error:
            self._next_try_s = time.monotonic() + RETRY_S
            self._became("stalled" if self.state == "stalled" else "absent", str(error))
            if self._audio is not None:
                self.close()
            return False
        return True

    def _open(self) -> None:
        import pyaudio

        self._audio = open_portaudio(self._wanted)
        device = choose(list_devices(self._audio), self._wanted)
        info = self._audio.get_device_info_by_index(device.index)
        self._device_rate_hz, self._channels = self._format(device, info)
        self._resample = Resampler(self._device_rate_hz, self._rate_hz)
        self.name = device.name
        self._stream = self._audio.open(
            rate=self._device_rate_hz,
            channels=self._channels,
            format=pyaudio.paInt16,
            input=True,
            input_device_index=device.index,
            frames_per_buffer=int(self._device_rate_hz * BLOCK_S),
            stream_callback=self._on_frames,
        )
        self._opened_s = time.monotonic()
        log.debug("%s opened: %d Hz, %d channel(s)", self.name, self._device_rate_hz, self._channels)

    def _format(self, device: Device, info: dict[str, Any]) -> tuple[int, int]:
        """The model's rate if the device has it, else the next best; one channel if it can, else two."""
        rates = dict.fromkeys((self._rate_hz, 48000, 44100, device.default_rate_hz, 32000, 96000))
        for rate_hz in rates:
            for channels in dict.fromkeys((1, 2, device.max_channels)):
                if accepts(self._audio, device.index, rate_hz, info, channels):
                    return rate_hz, channels
        raise DeviceError(
            f"{device.name}: takes no 16-bit format at {', '.join(map(str, rates))} Hz; try its plughw:"
        )

    def _on_frames(self, data: bytes, _frames: int, _times: Any, flags: int) -> tuple[None, int]:
        """PortAudio's thread: keep the bytes, note the overflow flag (2 is paInputOverflow), and be gone."""
        with self._arrived:
            if len(self._ring) == self._ring.maxlen:
                self._dropped += 1
            self._ring.append((data, bool(flags & 2), time.monotonic()))
            self._arrived.notify()
        return None, 0  # paContinue

    def _look_after(self) -> None:
        """No frames came: is the device gone, or does it hang?"""
        if not self._stream.is_active():
            self._became("absent", "unplugged")
        elif time.monotonic() - max(self._opened_s, self._last_frame_s) > NO_FRAMES_S:
            self._became("stalled", f"no frames for {NO_FRAMES_S:.0f} s")
        else:
            return
        self._interrupted = self._last_frame_s > 0
        self._next_try_s = 0.0
        self.close()

    def _mono(self, data: bytes) -> NDArray[np.float32]:
        samples = pcm16_to_float(data)
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1)
        return self._resample(samples)

    def _became(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason


def _close(stream: Any, audio: Any, stalled: bool) -> None:
    # Closing what was not stopped cancels PortAudio's thread, which may be waiting for the interpreter's lock
    # and would leave it locked for ever. Without frames it waits for the device: cancelling is safe then, and
    # stopping would be endless.
    with contextlib.suppress(OSError):
        if stream is not None and not stalled:
            stream.stop_stream()
    with contextlib.suppress(OSError):
        if stream is not None:
            stream.close()
        audio.terminate()
