"""The microphone, through PortAudio and ALSA, with our plug-in as the hardware."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from live_parts import FileMicrophone, murmur, wait_for

from edge_ser.errors import DeviceError
from edge_ser.live.devices import choose, list_devices, portaudio
from edge_ser.live.microphone import BLOCK_S, DriverStuckError, Microphone
from edge_ser.live.sources import Block

MakeMicrophone = Callable[..., FileMicrophone]


def counting(seconds: float) -> bytes:
    """Samples that say where they come from: 0, 1, 2, … modulo 16384."""
    return (np.arange(int(seconds * 16000)) % 16384).astype("<i2").tobytes()


def read_blocks(microphone: Microphone, seconds: float) -> list[Block]:
    blocks: list[Block] = []
    wait_for(lambda: _read_into(microphone, blocks) and _heard_s(blocks) >= seconds)
    return blocks


def _read_into(microphone: Microphone, blocks: list[Block]) -> bool:
    block = microphone.read(0.25)
    if block is not None:
        blocks.append(block)
    return True


def _heard_s(blocks: list[Block]) -> float:
    return sum(len(block.samples) for block in blocks) / 16000


def test_the_samples_arrive_as_they_were_played_none_missing_none_twice(
    make_microphone: MakeMicrophone,
) -> None:
    make_microphone(counting(60))
    microphone = Microphone("filemic", 16000)
    heard = np.concatenate([block.samples for block in read_blocks(microphone, 1.5)])
    microphone.close()
    positions = np.rint(heard * 32768).astype(int)
    assert set(np.diff(positions) % 16384) == {1}


def test_a_device_that_offers_only_48_khz_and_two_channels_is_resampled(
    make_microphone: MakeMicrophone,
) -> None:
    t = np.arange(48000 * 4) / 48000
    tone = np.rint(8000 * np.sin(2 * np.pi * 1000 * t)).astype("<i2")
    make_microphone(np.stack([tone, tone], 1).tobytes(), rate=48000, channels=2)
    microphone = Microphone("filemic", 16000)
    heard = np.concatenate([block.samples for block in read_blocks(microphone, 1.2)])[1600:17600]
    microphone.close()
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) == 1000  # bins of 1 Hz
    assert np.abs(heard).max() == pytest.approx(8000 / 32768, rel=0.02)


def test_an_unplugged_microphone_is_absent_until_it_is_back(make_microphone: MakeMicrophone) -> None:
    hardware = make_microphone(murmur(5))
    microphone = Microphone("filemic", 16000)
    read_blocks(microphone, 0.2)
    for _ in range(3):
        hardware.switch("unplug", True)
        wait_for(lambda: _read_into(microphone, []) and microphone.state == "absent")
        assert microphone.reason
        hardware.switch("unplug", False)
        blocks: list[Block] = []
        wait_for(lambda: _read_into(microphone, blocks) and blocks, within_s=5)  # noqa: B023
        assert microphone.state == "listening"
        assert blocks[0].lost_s > 0
    microphone.close()


def test_what_portaudio_says_of_it_is_a_debug_message_not_standard_error(
    make_microphone: MakeMicrophone, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hardware = make_microphone(murmur(5))
    caplog.set_level("DEBUG", "edge_ser.live.native_messages")
    microphone = Microphone("filemic", 16000)
    read_blocks(microphone, 0.2)
    hardware.switch("unplug", True)
    wait_for(lambda: _read_into(microphone, []) and microphone.state == "absent")
    microphone.close()
    assert "pa_linux_alsa.c" in caplog.text
    assert capfd.readouterr().err == ""
    os.write(2, b"the last words of a crash")
    assert capfd.readouterr().err == "the last words of a crash"


def test_a_microphone_that_is_absent_at_the_start_is_found_when_it_comes(
    make_microphone: MakeMicrophone,
) -> None:
    hardware = make_microphone(murmur(5))
    hardware.switch("unplug", True)
    microphone = Microphone(None, 16000)
    assert microphone.read(0.1) is None
    assert microphone.state == "absent"
    assert "no microphone" in microphone.reason
    assert microphone.polls == 1
    hardware.switch("unplug", False)
    assert read_blocks(microphone, 0.2)[0].lost_s == 0
    microphone.close()


@pytest.mark.parametrize("fault", ["stall", "stuck"])
def test_a_device_that_runs_but_gives_nothing_is_noticed_and_opened_again(
    make_microphone: MakeMicrophone, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser.live.microphone.NO_FRAMES_S", 0.7)
    hardware = make_microphone(murmur(5))
    microphone = Microphone("filemic", 16000)
    read_blocks(microphone, 0.2)
    hardware.switch(fault, True)
    wait_for(lambda: _read_into(microphone, []) and microphone.state == "stalled")
    hardware.switch(fault, False)
    read_blocks(microphone, 0.2)
    assert microphone.state == "listening"
    microphone.close()


def test_a_driver_that_hangs_is_given_up_after_a_while(make_microphone: MakeMicrophone) -> None:
    hardware = make_microphone(murmur(5))
    microphone = Microphone("filemic", 16000)
    read_blocks(microphone, 0.2)
    hardware.switch("hang", True)
    with pytest.raises(DriverStuckError, match="new process"):
        microphone.close()
    hardware.switch("hang", False)


def test_each_overrun_of_the_device_is_counted(make_microphone: MakeMicrophone) -> None:
    hardware = make_microphone(murmur(5), overrun_every=8000)
    assert_every_overrun_is_counted(hardware, 6)


def assert_every_overrun_is_counted(hardware: FileMicrophone, at_least: int) -> None:
    hardware.switch("starts", True)
    # So long a ring that only the device loses samples, even while this machine is busy with other things.
    microphone = Microphone("filemic", 16000, ring_s=600)
    blocks: list[Block] = []
    wait_for(lambda: _read_into(microphone, blocks) and hardware.starts > at_least, within_s=900)
    caused = hardware.starts - 1
    counted = sum(block.overruns for block in blocks)
    assert microphone.state == "listening"
    while counted < caused and (block := microphone.read(1.0)) is not None:
        counted += block.overruns
    microphone.close()
    assert caused <= counted <= caused + 2  # the device went on while we counted


def test_whoever_reads_too_slowly_loses_the_oldest_and_is_told_how_much(
    make_microphone: MakeMicrophone,
) -> None:
    make_microphone(counting(60))
    microphone = Microphone("filemic", 16000, ring_s=0.5)
    read_blocks(microphone, 0.2)
    time.sleep(2)
    assert microphone.backlog_s == pytest.approx(0.5)
    late = microphone.read(0.1)
    microphone.close()
    assert late is not None
    assert late.overruns >= 4
    assert late.lost_s >= late.overruns * BLOCK_S


def test_a_microphone_is_chosen_by_part_of_its_name_by_index_and_by_alsa_string(
    make_microphone: MakeMicrophone,
) -> None:
    make_microphone(murmur(5))
    with portaudio() as audio:
        devices = list_devices(audio, with_rates=True)
    assert [(device.name, device.max_channels, device.rates_hz) for device in devices] == [
        ("filemic", 1, (16000,))
    ]
    assert choose(devices, "FILE").name == "filemic"
    assert choose(devices, str(devices[0].index)).name == "filemic"
    with pytest.raises(DeviceError, match=r"no microphone fits 'usb'; there are 'filemic'"):
        choose(devices, "usb")
    with pytest.raises(DeviceError, match="plug one in"):
        choose([], None)
    microphone = Microphone("plug:SLAVE=filemic", 16000)
    assert read_blocks(microphone, 0.2)
    microphone.close()


@pytest.mark.long
def test_a_hundred_times_unplugged_a_hundred_times_back_within_5_s(make_microphone: MakeMicrophone) -> None:
    hardware = make_microphone(murmur(5))
    microphone = Microphone("filemic", 16000)
    read_blocks(microphone, 0.2)
    for _ in range(100):
        hardware.switch("unplug", True)
        wait_for(lambda: _read_into(microphone, []) and microphone.state == "absent")
        hardware.switch("unplug", False)
        wait_for(lambda: _read_into(microphone, []) and microphone.state == "listening", within_s=5)
    microphone.close()


@pytest.mark.long
def test_ten_thousand_overruns_are_each_counted(make_microphone: MakeMicrophone) -> None:
    assert_every_overrun_is_counted(make_microphone(murmur(5), overrun_every=8000, speed=40), 10_000)
