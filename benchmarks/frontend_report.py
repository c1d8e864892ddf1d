"""Writes docs/benchmarks.md from the figures of benchmarks/frontend.py. Its section on boards, with the rows
that their owners sent, stays as it is.

python benchmarks/frontend_report.py [docs/results/frontend.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
PAGE = HOME / "docs" / "benchmarks.md"
BOARDS = "## Models on boards"
LEVELS = {"base": "SSE2 / NEON", "avx2": "AVX2", "avx512": "AVX-512"}


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


LIMITS = """

What limits it: on AVX-512 the two passes of the FFT, window included, are 45 % of the time, and bands,
logarithm and cosine transform 20 % (`perf record` of `native/build/bench`). The rest is moving data: 13
% to put sixteen frames side by side, 14 % for mean and energy, which read the samples first. A long
signal lies in distant memory; although it is fetched ahead, its frames cost a little more. Tried without
gain: the sums of four pieces of mean and energy in one transposition, shuffles of half vectors, larger
stores, fetching into the first cache. The goals are 0.5 (AVX-512), 0.64 (AVX2) and 1.3 (SSE2) of
FFTW3f's FFTs.
"""


def fused(found: dict[str, Any] | None) -> str:
    """A paragraph, where a runtime was installed."""
    if found is None:
        return ""
    return f"""
Samples in memory to scores, 3 s with the default model, int8 features written into the input of
{found["runtime"]}: {found["a_s"] * 1e6:.0f} µs, {found["ratio"]:.2f} times the bare `invoke`
({found["ratio_q1"]:.2f} to {found["ratio_q3"]:.2f}; {found["b_s"] * 1e6:.0f} µs).
"""


def text(result: dict[str, Any]) -> str:
    machine = result["machine"]
    priority = f", run before other programs (nice {machine['nice']})" if machine.get("nice") else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    batch = [
        [
            f"{row['seconds']} s",
            LEVELS[row["level"]],
            f"{row['ours_ns_per_frame']:.0f}",
            row["rival"],
            f"{row['rival_ns_per_frame']:.0f}",
            f"{row['ratio']:.3f} ({row['ratio_q1']:.3f} to {row['ratio_q3']:.3f})",
        ]
        for row in result["batch"]
    ]
    options = [[row["options"], f"{row['per_point']:.2f}"] for row in result["options"]]
    return f"""# Time of the front end

Written by `python benchmarks/frontend_report.py` from docs/results/frontend.json, which
`PYTHONPATH=. python benchmarks/frontend.py --json docs/results/frontend.json` made on {machine["date"]}:
{machine["processor"]} ({machine["machine"]}), one thread, load average {machine["load"]:.1f} at the
start{priority};
Python {machine["python"]}, {versions}.

The whole default MFCC (16 kHz, 25/10 ms, 512 points, 40 bands, 13 cepstra) with the cepstral mean, called
from Python. A rival takes turns with ours; the ratio is the median over {result["rounds"]} pairs of turns
(fewer for the slow ones), with its quartiles. Times are medians in nanoseconds of processor time a frame.
The machine was shared: where the quartiles lie far apart, other programs had the caches, and the ratio
means little.

{table(["signal", "instructions", "ours", "rival", "its time", "ours / rival"], batch)}

Streaming, a hop of 10 ms through `push` and `pull`: {result["streaming"]["us_per_hop"]:.2f} µs
(best {result["streaming"]["best_us_per_hop"]:.2f} µs).

Other options, time for a point of the FFT as a multiple of the default's:

{table(["options", "multiple"], options)}
{fused(result.get("fused"))}
{LIMITS}
From C: `make -C native && native/build/bench`. On ARM: [arm.md](arm.md).
"""


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME / "docs" / "results" / "frontend.json"
    _, heading, boards = PAGE.read_text().partition(BOARDS)
    PAGE.write_text(f"{text(json.loads(source.read_text()))}\n{heading}{boards}")


if __name__ == "__main__":
    main()
