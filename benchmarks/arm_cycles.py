"""Cycles of what a stage executes, by llvm-mca: the blocks that ran, weighted by how often, on a model of
the core.

`arm_cycles.py` prints the table; arm_report.py puts it into docs/arm.md. Needs llvm-19 (apt) beside what
arm_instructions.py needs.

The counting plugin says how often each block of straight-line code ran for one unit of a stage. The hottest
blocks, which together execute COVERAGE of the stage's instructions, are disassembled and given to llvm-mca,
which plays each one many times in a row on its model of the core's pipelines; a block's cycles times its
runs, summed and scaled to all instructions, are the stage's. So loads hit the first cache, branches are
predicted, and a block does not overlap with the next: right for loops and long straight code, and both a
little too kind (memory) and a little too harsh (overlap) for the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arm_counting import Counted, Session, count
from arm_instructions import RUNS

COVERAGE = 0.97
REPEATS = 50  # of a block in llvm-mca, to reach its steady state
# llvm's model of a core, and the emulated core that executes the same instructions. llvm has no model of the
# Cortex-A76 in the Pi 5; the Neoverse N1 is the same core for servers.
CORES = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a53", "neoverse-n1": "cortex-a76"}


@dataclass(frozen=True)
class Block:
    """Straight-line code: where it lies and how often one unit of the stage runs it."""

    library: Path
    offset: int
    length: int  # instructions
    runs: float

    @property
    def instructions(self) -> float:
        """Instructions that it contributes to one unit."""
        return self.runs * self.length


def hot_blocks(stage: Counted, session: Session) -> list[Block]:
    """The blocks that make up COVERAGE of one unit of the stage, the hottest first."""
    bases = sorted((address, path) for path, address in session.libraries.items())
    blocks = []
    for (address, length), runs in stage.lot_blocks.items():
        more = (runs - stage.little_blocks.get((address, length), 0)) / (stage.lot_units - stage.little_units)
        place = bisect_right(bases, (address, "\xff")) - 1
        if more > 0 and place >= 0:
            blocks.append(Block(Path(bases[place][1]), address - bases[place][0], length, more))
    blocks.sort(key=lambda block: -block.instructions)
    wanted, chosen = COVERAGE * stage.per_unit, []
    for block in blocks:
        if wanted <= 0:
            break
        chosen.append(block)
        wanted -= block.instructions
    return chosen


def assembly(block: Block) -> Iterator[str]:
    """The block's instructions as llvm's assembler reads them; every branch goes to one label."""
    command = ["llvm-objdump-19", "--disassemble", "--no-show-raw-insn", "--no-leading-addr", "--mattr=+all"]
    span = [f"--start-address={block.offset}", f"--stop-address={block.offset + 4 * block.length}"]
    listing = subprocess.run(
        [*command, *span, block.library], capture_output=True, text=True, check=True
    ).stdout
    for line in listing.splitlines():
        if line.startswith((" ", "\t")):
            yield re.sub(r"0x[0-9a-f]+ <.*>", "somewhere", line.strip())


def cycles_of(blocks: list[Block], core: str) -> list[float]:
    """Cycles that each block takes in its steady state on llvm's model of the core."""
    lines = []
    for index, block in enumerate(blocks):
        lines += [f"# LLVM-MCA-BEGIN {index}", *assembly(block), f"# LLVM-MCA-END {index}"]
    command = [
        "llvm-mca-19",
        "-mtriple=aarch64-linux-gnu",
        f"-mcpu={core}",
        f"-iterations={REPEATS}",
        "--json",
    ]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"llvm-mca for {core}: {done.stderr[:1000]}")
    regions = {region["Name"]: region["SummaryView"] for region in json.loads(done.stdout)["CodeRegions"]}
    return [regions[str(index)]["TotalCycles"] / REPEATS for index in range(len(blocks))]


def stage_cycles(stage: Counted, session: Session, core: str) -> float:
    """Cycles of one unit of the stage."""
    blocks = hot_blocks(stage, session)
    cycles = sum(block.runs * each for block, each in zip(blocks, cycles_of(blocks, core), strict=True))
    return cycles * stage.per_unit / sum(block.instructions for block in blocks)


def measure() -> dict[str, dict[str, tuple[int, float]]]:
    """Core -> stage -> instructions and cycles of a unit."""
    sessions = {
        cpu: [count("arm64", cpu, folder, suites, blocks=True) for folder, suites in RUNS.items()]
        for cpu in set(CORES.values())
    }
    return {
        core: {
            stage.name: (stage.per_unit, stage_cycles(stage, session, core))
            for session in sessions[cpu]
            for stage in session.stages
        }
        for core, cpu in CORES.items()
    }


if __name__ == "__main__":
    for core, stages in measure().items():
        for name, (instructions, cycles) in stages.items():
            print(f"{core:12} {instructions:>12,} instructions {cycles:>14,.0f} cycles  {name}")
