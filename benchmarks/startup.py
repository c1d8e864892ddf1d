"""How long a command takes as a whole process, beside the imports that nobody can avoid.

    python benchmarks/startup.py [--runs 21] [--model PATH] [--json]

Runs are interleaved (one of each, again and again), so that what else the machine does meets all alike.
Ratios are of medians, to ``import numpy, ai_edge_litert.interpreter, soundfile``; the aim is 1.25 for
classifying three seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

IMPORTS = "import numpy, ai_edge_litert.interpreter, soundfile"


def three_seconds(path: Path) -> None:
    """A WAV of 16 kHz, 16 bit: a tone with a slow swell, so that nothing is silent."""
    t = np.arange(3 * 16000) / 16000
    samples = 0.3 * np.sin(2 * np.pi * 220 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Wall seconds of each command, ``runs`` times, after one run that warms the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if run:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--model", help="model file or name (the default one)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = ["--model", arguments.model] if arguments.model else []
    edge_ser = [sys.executable, "-m", "edge_ser"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "three.wav"
        three_seconds(path)
        commands = {
            "the imports": [sys.executable, "-c", IMPORTS],
            "python": [sys.executable, "-c", "pass"],
            "edge-ser --help": [*edge_ser, "--help"],
            "edge-ser classify --help": [*edge_ser, "classify", "--help"],
            "edge-ser classify 3 s": [*edge_ser, "classify", *model, str(path)],
        }
        seconds = measure(commands, arguments.runs)
    base = statistics.median(seconds["the imports"])
    if arguments.json:
        print(
            json.dumps(
                {
                    name: {"seconds": times, "ratio": statistics.median(times) / base}
                    for name, times in seconds.items()
                }
            )
        )
        return
    print(f"{'':26} {'median ms':>10} {'best ms':>8} {'ratio':>6}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:26} {median * 1e3:10.1f} {min(times) * 1e3:8.1f} {median / base:6.2f}")


if __name__ == "__main__":
    main()
