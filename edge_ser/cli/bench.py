"""``edge-ser bench``: how long a model takes on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import Any

from edge_ser import bench_report
from edge_ser.bench import DISTRIBUTIONS, Settings, measure_apart
from edge_ser.errors import ModelError
from edge_ser.provenance import Conditions, Machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options; those with an underscore are called as in TFLite's benchmark_model."""
    parser.add_argument("model", nargs="*", metavar="MODEL", help="model files, or names of shipped ones")
    parser.add_argument(
        "--graph", action="append", default=[], metavar="MODEL", help="another one, as benchmark_model has it"
    )
    parser.add_argument(
        "--runtime",
        action="append",
        choices=[*DISTRIBUTIONS, "all"],
        help="may be repeated; all: every one installed (default: the first installed)",
    )
    defaults = Settings()
    for name, kind, text in [
        ("num_threads", int, "of the interpreter"),
        ("num_runs", int, "measured runs, at least"),
        ("warmup_runs", int, "runs before, at least"),
        ("warmup_min_secs", float, "seconds of runs before, at least"),
        ("min_secs", float, "seconds of measured runs, at least"),
        ("max_secs", float, "seconds of measured runs, at most"),
        ("run_delay", float, "pause between runs, in seconds"),
    ]:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"{text} ({value:g})")
    parser.add_argument("--paced", action="store_true", help="also run at the rate at which audio arrives")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="everything, as one JSON object")
    output.add_argument(
        "--submit-format", action="store_true", help="a row for docs/benchmarks.md, to send to the project"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measures every model on every runtime asked for, one after the other; returns the exit status."""
    settings = Settings(**{field.name: getattr(arguments, field.name) for field in fields(Settings)})
    machine, before = Machine.read(), Conditions.read()
    results = []
    for model in [*arguments.model, *arguments.graph] or [None]:
        results += _measure(model, arguments.runtime or [None], settings)
    record = bench_report.as_record(machine, before, Conditions.read(), settings, results)
    if arguments.json:
        print(json.dumps(record))
    elif arguments.submit_format:
        print(bench_report.as_rows(record))
    else:
        print(bench_report.as_text(record))
    return 0


def _measure(model: str | None, runtimes: list[str | None], settings: Settings) -> list[dict[str, Any]]:
    """One result a runtime. With "all", those that cannot be used here are named on stderr and left out."""
    if "all" not in runtimes:
        return [measure_apart(model, runtime, settings) for runtime in dict.fromkeys(runtimes)]
    results = []
    for runtime in DISTRIBUTIONS:
        try:
            results.append(measure_apart(model, runtime, settings))
        except ModelError as error:
            print(f"left out: {error}", file=sys.stderr)
    return results
