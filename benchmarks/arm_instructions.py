"""Instructions each stage of the pipeline executes on a Raspberry Pi's processors, counted exactly under
emulation.

    python packaging/wheels.py aarch64              builds what is counted
    python benchmarks/arm_instructions.py           prints the table
    python benchmarks/arm_instructions.py --check   fails when a count is 5 % above arm_counts.json
    python benchmarks/arm_instructions.py --update  writes arm_counts.json

A count does not depend on the machine it is made on, so the check cannot flake: it fails only when the
code, the compiler or a runtime changed. arm_counts.json is to be updated, in the same commit, when that was
meant. Beside the counts stands the digest of every model's graph that was counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from arm_counting import count

RECORD = Path(__file__).with_name("arm_counts.json")
MODELS = Path(__file__).parents[1] / "edge_ser" / "models"
GRAPHS = "graphs"  # the record's entry that is no processor: a model's name -> SHA-256 of its graph
CPUS = [
    "cortex-a53",
    "cortex-a76",
]  # Pi 3 and Pi Zero 2; Pi 5. A Pi 4's cortex-a72 executes what a cortex-a53 does.
RUNS = {"litert": ["frontend", "models", "live"], "tflite": ["models"]}  # folder of packages -> suites
ALLOWED_GROWTH = 0.05

Counts = dict[str, dict[str, int]]  # cpu -> stage -> instructions of a unit


def measure(cpus: list[str]) -> Counts:
    """Counts every stage on every processor, two emulators at a time."""
    jobs = [("arm64", cpu, folder, suites) for cpu in cpus for folder, suites in RUNS.items()]
    with ThreadPoolExecutor(2) as pool:
        sessions = list(pool.map(lambda job: count(*job), jobs))
    counts: Counts = {cpu: {} for cpu in cpus}
    for (_, cpu, _, _), session in zip(jobs, sessions, strict=True):
        counts[cpu] |= {stage.name: stage.per_unit for stage in session.stages}
    return counts


def graphs() -> dict[str, str]:
    """The digests of the graphs of the models that ship, which the wheel brings to where they are counted,
    and in how many runs they hear a window where these are several.
    """
    found = {}
    for path in sorted(MODELS.glob("*.tflite")):
        with zipfile.ZipFile(path) as archive:
            record = json.loads(archive.read("edge_ser.json"))
        runs = 1 + len(record.get("warps", []))
        found[path.stem] = record["graph"]["sha256"] + (f" in {runs} runs" if runs > 1 else "")
    return found


def complaints(counts: Counts, recorded: Counts) -> list[str]:
    """A line for every count that is not recorded or grew too much, and every record that is not counted."""
    found = []
    for cpu, stages in counts.items():
        before = recorded.get(cpu, {})
        for name, now in stages.items():
            if name not in before:
                found.append(f"{cpu}: {name}: {now} instructions, not recorded yet")
            elif now > before[name] * (1 + ALLOWED_GROWTH):
                growth = 100 * (now / before[name] - 1)
                found.append(
                    f"{cpu}: {name}: {now} instructions, {growth:.1f} % more than the {before[name]} recorded"
                )
        found += [f"{cpu}: {name}: recorded, but no longer counted" for name in before if name not in stages]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Count instructions on emulated ARM processors.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help=f"compare with {RECORD.name}")
    action.add_argument("--update", action="store_true", help=f"write {RECORD.name}")
    parser.add_argument("--cpu", choices=CPUS, action="append", help="default: all")
    arguments = parser.parse_args()
    counts = measure(arguments.cpu or CPUS)
    for cpu, stages in counts.items():
        for name, instructions in stages.items():
            print(f"{cpu}  {instructions:>12,}  {name}")
    if arguments.update:
        RECORD.write_text(json.dumps({GRAPHS: graphs(), **counts}, indent=2) + "\n")
    if arguments.check:
        found = complaints(counts, json.loads(RECORD.read_text()))
        if found:
            sys.exit(
                "\n".join([*found, f"if this is meant: python {Path(__file__).name} --update, and commit it"])
            )


if __name__ == "__main__":
    main()
