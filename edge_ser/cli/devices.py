"""``edge-ser devices``: microphones by name."""

from __future__ import annotations

import argparse
import json

from edge_ser.errors import DeviceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="JSON lines")


def run(args: argparse.Namespace) -> int:
    """List the devices that can record; a ``DeviceError`` where there is none."""
    from edge_ser.live.devices import list_devices, portaudio

    with portaudio() as audio:
        devices = list_devices(audio, with_rates=True)
    if not devices:
        raise DeviceError("no microphone found; plug one in, and see that you are in the group audio: groups")
    for device in devices:
        if args.json:
            print(json.dumps(device.record()))
            continue
        rates = ", ".join(f"{rate / 1000:g}" for rate in device.rates_hz) or "no common rate"
        channels = f"{device.max_channels} channel{'s' if device.max_channels > 1 else ''}"
        mark = "*" if device.default else " "
        print(f"{mark} {device.index:2}  {device.name}  ({device.host_api}, {channels}, {rates} kHz)")
    if not args.json:
        print(
            "\n* the default. Choose one with --device and a part of its name, or any ALSA string: plughw:1,0"
        )
    return 0
