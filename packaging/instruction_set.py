"""Checks that a shared library holds no instruction beyond a machine's baseline: `instruction_set.py
MACHINE FILE ...`.

The judge is the assembler: the library is disassembled and assembled again with the baseline selected, and
every line it refuses is beyond the baseline. Functions compiled for newer processors and chosen at run time
are exempt; their names say which processor they are for (DISPATCHED).
"""

from __future__ import annotations

import re
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
DISPATCHED = re.compile(r"_(avx2|avx512|v3|v4)(\.|$)")

NO_OPERATION = re.compile(r"\bnop|^endbr64|^xchg +%ax,%ax")  # on every x86-64, whatever the assembler thinks

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(.+)$")


def disassembled(library: Path, prefix: str) -> list[tuple[str, str]]:
    """(function, instruction) of every instruction in the text section."""
    command = [f"{prefix}objdump", "--disassemble", "--no-show-raw-insn", "--section=.text", str(library)]
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
    # A floating-point constant of 32-bit ARM: encoded number first, its value in the comment.
    return re.sub(r"(vmov\S*\.f\d+\s+\S+ )#\d+\s+@ 0x[0-9a-f]+\s+(\S+)", r"\1#\2", text)


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


def check(library: Path, machine: str) -> int:
    """The number of instructions within the baseline; ends the program when any is beyond it."""
    baseline = BASELINES[machine]
    found = [pair for pair in disassembled(library, baseline.prefix) if not DISPATCHED.search(pair[0])]
    beyond = refused([text for _, text in found], baseline)
    beyond = {index for index in beyond if not NO_OPERATION.search(found[index][1])}
    if beyond:
        shown = "\n".join(f"  {found[index][0]}: {found[index][1]}" for index in sorted(beyond)[:20])
        sys.exit(f"{library}: {len(beyond)} instructions beyond the baseline of {machine}:\n{shown}")
    return len(found)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in BASELINES:
        sys.exit(f"usage: instruction_set.py {' | '.join(BASELINES)} FILE ...")
    for name in sys.argv[2:]:
        print(f"{name}: {check(Path(name), sys.argv[1])} instructions within the baseline of {sys.argv[1]}")
