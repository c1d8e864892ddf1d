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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from arm_counting import Counted, Session, count
from arm_instructions import RUNS

Table = dict[str, dict[str, float]]  # core or processor -> stage -> figure
Listing = dict[tuple[Path, int], str]  # binary and address -> instruction
COVERAGE = 0.97
REPEATS = 50  # of a block in llvm-mca, to reach its steady state
# llvm's model of a core, and the emulated core that executes the same instructions. llvm has no model of the
# Cortex-A76 in the Pi 5; the Neoverse N1 is the same core for servers.
CORES = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a53", "neoverse-n1": "cortex-a76"}


@dataclass(frozen=True)
class Block:
    """Straight-line code: where it lies and how often one unit of the stage runs it."""

    binary: Path
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


def disassembled(blocks: list[Block]) -> Listing:
    """The instructions of the blocks as llvm's assembler reads them; every branch goes to one label."""
    listing: Listing = {}
    for binary in {block.binary for block in blocks}:
        wanted = {
            block.offset + 4 * n for block in blocks if block.binary == binary for n in range(block.length)
        }
        command = ["llvm-objdump-19", "--disassemble", "--no-show-raw-insn", "--mattr=+all"]
        span = [f"--start-address={min(wanted)}", f"--stop-address={max(wanted) + 4}", str(binary)]
        with subprocess.Popen([*command, *span], stdout=subprocess.PIPE, text=True) as objdump:
            for line in objdump.stdout or ():
                address, colon, text = line.partition(":")
                if colon and address[:1] == " " and int(address, 16) in wanted:
                    text = re.sub(r"0x[0-9a-f]+ <.*>", "somewhere", text.strip())
                    listing[binary, int(address, 16)] = text
    return listing


def cycles_of(blocks: list[Block], core: str, listing: Listing) -> list[float]:
    """Cycles that each block takes in its steady state on llvm's model of the core."""
    lines = []
    for index, block in enumerate(blocks):
        lines.append(f"# LLVM-MCA-BEGIN {index}")
        lines += [listing[block.binary, block.offset + 4 * n] for n in range(block.length)]
        lines.append(f"# LLVM-MCA-END {index}")
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


def stage_cycles(session: Session, cores: list[str]) -> dict[str, dict[str, float]]:
    """Core -> stage -> cycles of one unit, for every stage of the session."""
    hot = {stage.name: hot_blocks(stage, session) for stage in session.stages}
    listing = disassembled([block for blocks in hot.values() for block in blocks])
    found: dict[str, dict[str, float]] = {}
    for core in cores:
        found[core] = {}
        for stage in session.stages:
            blocks = hot[stage.name]
            each = cycles_of(blocks, core, listing)
            cycles = sum(block.runs * cost for block, cost in zip(blocks, each, strict=True))
            found[core][stage.name] = cycles * stage.per_unit / sum(block.instructions for block in blocks)
    return found


def measure(suites: dict[str, list[str]]) -> tuple[Table, Table]:
    """Instructions by emulated processor and cycles by llvm's core, of one unit of each stage."""
    jobs = [(cpu, folder) for cpu in sorted(set(CORES.values())) for folder in suites]
    with ThreadPoolExecutor(2) as pool:
        sessions = list(
            pool.map(lambda job: count("arm64", job[0], job[1], suites[job[1]], blocks=True), jobs)
        )
    instructions: Table = {cpu: {} for cpu, _ in jobs}
    cycles: Table = {core: {} for core in CORES}
    for (cpu, _), session in zip(jobs, sessions, strict=True):
        instructions[cpu] |= {stage.name: stage.per_unit for stage in session.stages}
        for core, stages in stage_cycles(session, [core for core in CORES if CORES[core] == cpu]).items():
            cycles[core] |= stages
    return instructions, cycles


if __name__ == "__main__":
    for core, stages in measure(RUNS)[1].items():
        for name, cycles in stages.items():
            print(f"{core:12} {cycles:>14,.0f} cycles  {name}")
