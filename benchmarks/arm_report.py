"""Writes docs/arm.md: what the pipeline and its rivals cost on a Raspberry Pi's processors, without a board.

make wheels && python packaging/arm_root.py arm64     what is counted, and where
python benchmarks/light_sernet.py arm/rivals          the rival model (needs tensorflow)
python benchmarks/arm_report.py                       about ten minutes; needs llvm-19
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from arm_cycles import CORES, COVERAGE, Table, measure
from arm_instructions import ALLOWED_GROWTH

from edge_ser.model import DEFAULT_MODEL, Model

HOME = Path(__file__).resolve().parent.parent
SUITES = {
    "litert": ["frontend", "models", "live", "kaldi-native-fbank", "light-sernet"],
    "tflite": ["models", "light-sernet"],
}
# Board -> llvm's core and clock. Clocks: Raspberry Pi documentation, the boards as delivered.
BOARDS = {
    "Pi Zero 2, 1.0 GHz": ("cortex-a53", 1.0e9),
    "Pi 3 B+, 1.4 GHz": ("cortex-a53", 1.4e9),
    "Pi 4, 1.5 GHz": ("cortex-a72", 1.5e9),
    "Pi 5, 2.4 GHz": ("neoverse-n1", 2.4e9),
}
WINDOW = "{runtime}: a window of 3 s{runs}, {model}"  # how arm_stages.py calls what a model does for a window
RUNS = 1 + len(Model.load(DEFAULT_MODEL).warps)
OURS_AND_RIVALS = [  # (title, our stage, the rival's)
    (
        "MFCC of a frame, kaldi-native-fbank",
        "MFCC of a frame (25/10 ms, 40 mel, 13 cepstra)",
        "MFCC of a frame, kaldi-native-fbank",
    ),
    *(
        (
            f"window of 3 s on {runtime}, Light-SERNet {kind}",
            WINDOW.format(runtime=runtime, model=DEFAULT_MODEL, runs=f" in {RUNS} runs" if RUNS > 1 else ""),
            WINDOW.format(runtime=runtime, model=f"light-sernet-{kind}", runs=""),
        )
        for runtime in ("ai_edge_litert", "tflite_runtime")
        for kind in ("int8", "float32")
    ),
]


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table; figures to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def short(figure: float) -> str:
    """Three digits, with thousands or millions as k or M."""
    for unit, size in {"M": 1e6, "k": 1e3}.items():
        if figure >= size:
            return f"{figure / size:.3g} {unit}" if figure < 1000 * size else f"{figure / size:.0f} {unit}"
    return f"{figure:.0f}"


def milliseconds(seconds: float) -> str:
    """Two digits."""
    return f"{float(f'{1000 * seconds:.2g}'):g}"


def ratios(instructions: Table, cycles: Table) -> str:
    """How many times as much as ours the rivals take."""
    rows = []
    for title, ours, rival in OURS_AND_RIVALS:
        figures = [instructions["cortex-a53"], instructions["cortex-a76"], *(cycles[core] for core in CORES)]
        rows.append([title, *(f"{figure[rival] / figure[ours]:.1f}" for figure in figures)])
    header = ["rival over ours", "instructions, A53", "A76", "cycles, A53", "A72", "N1"]
    return markdown(header, rows)


def page(instructions: Table, cycles: Table) -> str:
    """The whole of docs/arm.md."""
    names = list(instructions["cortex-a53"])
    counted = [[name, *(f"{instructions[cpu][name]:,.0f}" for cpu in instructions)] for name in names]
    modelled = [[name, *(short(cycles[core][name]) for core in CORES)] for name in names]
    estimated = [
        [name, *(milliseconds(cycles[core][name] / hertz) for core, hertz in BOARDS.values())]
        for name in names
    ]
    qemu = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True).stdout.splitlines()[
        0
    ]
    llvm = subprocess.run(["llvm-mca-19", "--version"], capture_output=True, text=True).stdout
    version = next(line.strip() for line in llvm.splitlines() if "version" in line)
    return TEXT.format(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        qemu=qemu.splitlines()[0],
        llvm=version,
        growth=f"{100 * ALLOWED_GROWTH:.0f}",
        coverage=f"{100 * COVERAGE:.0f}",
        counted=markdown(["instructions of", *instructions], counted),
        ratios=ratios(instructions, cycles),
        modelled=markdown(["cycles of", *CORES], modelled),
        estimated=markdown(["milliseconds, estimated", *BOARDS], estimated),
    )


TEXT = (Path(__file__).parent / "arm_report.md.in").read_text()

if __name__ == "__main__":
    measured = measure(SUITES)
    (HOME / "docs" / "arm.md").write_text(page(*measured))
