"""Where a measurement was made: board, processor, governor, temperature, throttling, versions.

Everything is read from files that Linux or the Raspberry Pi's firmware driver offers, and left out (None)
where a machine does not have it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Bits of get_throttled (Raspberry Pi documentation, vcgencmd). Bit n: now; bit n + 16: some time since boot.
THROTTLING = ["under-voltage", "frequency capped", "throttled", "soft temperature limit"]
SINCE_BOOT = 16

# Part numbers (MIDR, implementer 0x41) of the cores in Raspberry Pis, from ARM's technical reference manuals.
ARM_CORES = {
    0xB76: "ARM1176",
    0xC07: "Cortex-A7",
    0xD03: "Cortex-A53",
    0xD08: "Cortex-A72",
    0xD0B: "Cortex-A76",
}


@dataclass(frozen=True)
class Conditions:
    """What may change while a benchmark runs; read before and after."""

    governor: str | None  # of the cores, "ondemand, performance" when they differ
    frequency_mhz: float | None  # of the first core, as the kernel last set it
    temperature_c: float | None  # of the hottest thermal zone
    throttled: int | None  # the firmware's flags

    @classmethod
    def read(cls, root: Path = Path("/")) -> Conditions:
        """The conditions now; ``root`` is where /sys is looked for."""
        cpus = root / "sys/devices/system/cpu"
        governors = sorted({_text(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""})
        frequency = _number(cpus / "cpu0/cpufreq/scaling_cur_freq")
        zones = [_number(path) for path in (root / "sys/class/thermal").glob("thermal_zone*/temp")]
        temperatures = [zone / 1000 for zone in zones if zone is not None]
        flags = next(map(_text, (root / "sys/devices/platform").glob("soc*/*firmware/get_throttled")), "")
        return cls(
            governor=", ".join(governors) or None,
            frequency_mhz=frequency / 1000 if frequency is not None else None,
            temperature_c=max(temperatures, default=None),
            throttled=int(flags, 16) if re.fullmatch(r"(0x)?[0-9a-f]+", flags) else None,
        )


@dataclass(frozen=True)
class Machine:
    """What stays the same while a benchmark runs."""

    board: str | None
    cpu: str | None
    cores: int
    memory_mb: int | None
    os: str | None
    kernel: str
    machine: str  # as the kernel says, and the bits of this Python: a 32-bit system on a 64-bit kernel shows
    python: str
    numpy: str
    edge_ser: str
    date: str  # UTC

    @classmethod
    def read(cls, root: Path = Path("/")) -> Machine:
        """This machine; ``root`` is where /proc, /sys and /etc are looked for."""
        memory = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
        named = re.search(r'^PRETTY_NAME="(.+)"', _text(root / "etc/os-release"), re.MULTILINE)
        board = _text(root / "proc/device-tree/model") or _text(root / "sys/class/dmi/id/product_name")
        return cls(
            board=board or None,
            cpu=_cpu(_text(root / "proc/cpuinfo")),
            cores=os.cpu_count() or 1,
            memory_mb=int(memory[1]) // 1024 if memory else None,
            os=named[1] if named else None,
            kernel=platform.release(),
            machine=f"{platform.machine()}, {8 * struct.calcsize('P')}-bit Python",
            python=platform.python_version(),
            numpy=importlib.metadata.version("numpy"),
            edge_ser=importlib.metadata.version("edge-ser"),
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return asdict(self)


def warnings(before: Conditions, after: Conditions) -> list[str]:
    """One sentence for everything that makes figures taken between the two doubtful."""
    found = []
    if before.governor != after.governor:
        found.append(f"the governor changed from {before.governor} to {after.governor} during the run")
    first, last = before.throttled or 0, after.throttled or 0
    for bit, name in enumerate(THROTTLING):
        now, ever = 1 << bit, 1 << (bit + SINCE_BOOT)
        if (first | last) & now or (last & ever and not first & ever):
            found.append(f"the board was limited during the run: {name}")
        elif first & ever:
            found.append(f"the board was limited before the run, since it was started: {name}")
    return found


def describe(conditions: Conditions) -> str:
    """One line: what is known of the conditions."""
    known = []
    if conditions.governor is not None:
        known.append(f"governor {conditions.governor}")
    if conditions.frequency_mhz is not None:
        known.append(f"{conditions.frequency_mhz:.0f} MHz")
    if conditions.temperature_c is not None:
        known.append(f"{conditions.temperature_c:.1f} °C")
    if conditions.throttled is not None:
        known.append(f"throttling flags {conditions.throttled:#x}")
    return ", ".join(known) or "governor, temperature and throttling are not offered by this machine"


def _cpu(cpuinfo: str) -> str | None:
    """The processor's name from /proc/cpuinfo: x86's "model name", ARM's part number."""
    part = re.search(r"^CPU part\s*: (0x[0-9a-f]+)", cpuinfo, re.MULTILINE)
    if part:
        return ARM_CORES.get(int(part[1], 16), f"ARM part {part[1]}")
    named = re.search(r"^model name\s*: (.+)", cpuinfo, re.MULTILINE)
    return named[1] if named else None


def _text(path: Path) -> str:
    """What the file says, without the newline or NUL at its end; empty when it cannot be read."""
    try:
        return path.read_text(errors="replace").rstrip("\n\0")
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if re.fullmatch(r"-?\d+", text) else None
