"""Checks that built objects hold no instruction beyond a machine's baseline: `instruction_set.py MACHINE
FILE ...`.

The judge is the assembler: an object is disassembled and assembled again with the baseline selected, and
every line it refuses is beyond the baseline. Objects that are compiled for newer processors, and whose code
is chosen at run time, are exempt by name (DISPATCHED).
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Baseline:
    """How to disassemble and assemble again for one machine."""

    prefix: str  # of the binutils
    flags: list[str]  # the assembler's, that state the baseline
    comment: str  # what a comment of the disassembler starts with
    modes: tuple[str, ...] = ("",)  # an instruction is within the baseline when any mode accepts it


BASELINES = {
    "x86_64": Baseline("", ["--64", "-march=generic64"], " #"),
    "aarch64": Baseline("aarch64-linux-gnu-", ["-march=armv8-a"], "//"),
    "armv7l": Baseline(
        "arm-linux-gnueabihf-",
        ["-march=armv7-a", "-mfpu=neon-vfpv4", "-mfloat-abi=hard", "-mimplicit-it=always"],
        "@",
        (".syntax unified; .arm", ".syntax unified; .thumb"),
    ),
}
DISPATCHED = {"kernel_avx2.o", "kernel_avx512.o"}  # native/src/dispatch.c asks the processor first
NO_OPERATION = re.compile(r"\bnop|^endbr64|^xchg +%ax,%ax")  # on every x86-64, whatever the assembler thinks

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(.+)$")


def disassembled(file: Path, prefix: str) -> list[tuple[str, str]]:
    """(function, instruction) of every instruction."""
    command = [f"{prefix}objdump", "--disassemble", "--no-show-raw-insn", str(file)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    function, found = "", []
    for line in listing.splitlines():
        if named := FUNCTION.match(line):
            function = named[1]
        elif instruction := INSTRUCTION.match(line):
            found.append((function, instruction[1]))
    return found


def assembly(disassembly: str) -> str:
    """What the disassembler wrote, in words that the assembler reads."""
    # One target in reach of every branch; where it points does not matter here.
    text = re.sub(r"[0-9a-f]+ <.*>", ". + 8", disassembly)
    # A floating-point constant of 32-bit ARM: in the comment are its bits, whatever stands in its place.
    if constant := re.search(r"(vmov\S*\.f\d+\s+\S+ )#.*@ 0x([0-9a-f]{8})", text):
        text = f"{constant[1]}#{struct.unpack('>f', bytes.fromhex(constant[2]))[0]}"
    return text


def refused(instructions: list[str], baseline: Baseline) -> set[int]:
    """Indices of the instructions that the assembler refuses under the baseline."""
    lines = [assembly(text).split(baseline.comment)[0] for text in instructions]
    verdicts = []
    for mode in baseline.modes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "listing.s")
            source.write_text("\n".join([mode, *lines]) + "\n")
            command = [f"{baseline.prefix}as", *baseline.flags, "-o", f"{folder}/listing.o", str(source)]
            errors = subprocess.run(command, capture_output=True, text=True).stderr
        verdicts.append({int(line) - 2 for line in re.findall(r"listing\.s:(\d+): Error", errors)})
    return set.intersection(*verdicts)


def check(file: Path, machine: str) -> int:
    """The number of instructions within the baseline; ends the program when any is beyond it."""
    if file.name in DISPATCHED:
        return 0
    baseline = BASELINES[machine]
    found = disassembled(file, baseline.prefix)
    beyond = refused([text for _, text in found], baseline)
    beyond = {index for index in beyond if not NO_OPERATION.search(found[index][1])}
    if beyond:
        shown = "\n".join(f"  {found[index][0]}: {found[index][1]}" for index in sorted(beyond)[:20])
        sys.exit(f"{file}: {len(beyond)} instructions beyond the baseline of {machine}:\n{shown}")
    return len(found)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in BASELINES:
        sys.exit(f"usage: instruction_set.py {' | '.join(BASELINES)} FILE ...")
    for name in sys.argv[2:]:
        print(f"{name}: {check(Path(name), sys.argv[1])} instructions within the baseline of {sys.argv[1]}")
