"""Runs arm_stages.py on an emulated ARM processor under the counting plugin and reads what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PLUGIN = HOME / "arm" / "count_instructions.so"
GETPRIORITY = {"arm64": 141, "armhf": 96}  # system call numbers


@dataclass
class Counted:
    """What the plugin saw of one stage."""

    name: str
    little_units: int
    lot_units: int
    little: int  # instructions between the marks around the little piece of work
    lot: int
    little_blocks: dict[tuple[int, int], int] = field(default_factory=dict)  # (address, length) -> runs
    lot_blocks: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def per_unit(self) -> int:
        """Instructions of one unit, rounded."""
        return round((self.lot - self.little) / (self.lot_units - self.little_units))


@dataclass(frozen=True)
class Session:
    """One run of arm_stages.py."""

    stages: list[Counted]
    libraries: dict[str, int]  # path of every shared library in the process -> address it was loaded at


def build_plugin() -> None:
    """Compiles packaging/count_instructions.c when it is newer than what is there.

    Sessions begin side by side: what is there is always whole, since a new one is moved into its place.
    """
    source = HOME / "packaging" / "count_instructions.c"
    if PLUGIN.exists() and PLUGIN.stat().st_mtime >= source.stat().st_mtime:
        return
    with tempfile.TemporaryDirectory(dir=PLUGIN.parent) as folder:
        built = Path(folder, PLUGIN.name)
        subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", "-o", built, source], check=True)
        built.replace(PLUGIN)


def read_marks(path: Path) -> list[tuple[int, dict[tuple[int, int], int]]]:
    """The plugin's output: instructions up to each mark, and the blocks that ran since the mark before it."""
    marks: list[tuple[int, dict[tuple[int, int], int]]] = []
    for line in path.read_text().splitlines():
        word, first, second, *rest = line.split()
        if word == "mark":
            marks.append((int(second), {}))
        else:
            key = int(first, 16), int(second)
            marks[-1][1][key] = marks[-1][1].get(key, 0) + int(rest[0])
    return marks


def count(arch: str, cpu: str, folder: str, suites: list[str], blocks: bool = False) -> Session:
    """Counts the stages of the suites on one processor with one folder of packages (packaging/arm-run)."""
    build_plugin()
    with tempfile.TemporaryDirectory() as work:
        out = Path(work, "marks")
        plugin = f"{PLUGIN},out={out},syscall={GETPRIORITY[arch]},blocks={int(blocks)}"
        done = subprocess.run(
            [HOME / "packaging/arm-run", arch, cpu, folder, HOME / "benchmarks/arm_stages.py", *suites],
            env=os.environ | {"QEMU_PLUGIN": plugin},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"arm_stages.py on {cpu} failed with status {done.returncode}\n{done.stderr[-2000:]}")
        report = json.loads(done.stdout.splitlines()[-1])
        marks = read_marks(out)
    stages = []
    for index, stage in enumerate(report["stages"]):
        begin, little, middle, lot = marks[4 * index : 4 * index + 4]
        few, many = stage["units"]
        counted = Counted(stage["name"], few, many, little[0] - begin[0], lot[0] - middle[0])
        counted.little_blocks, counted.lot_blocks = little[1], lot[1]
        stages.append(counted)
    return Session(stages, report["libraries"])
