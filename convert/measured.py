"""``python -m convert measure``: what a model file costs to run, added to its evaluation for the card.

Latency is measured here by edge_ser.bench; instruction counts are taken from the record of
benchmarks/arm_instructions.py where that names the model and its graph. Both hold for one graph, and for the
number of its runs that a window takes: the card shows them while the file's are those that were measured, and
says "not measured" of any other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.evaluate import add, with_output
from convert.tables import measured as where_from
from convert.tables import table
from edge_ser.bench import Settings, measure_apart
from edge_ser.errors import ConfigError

COUNTS = Path(__file__).parents[1] / "benchmarks" / "arm_counts.json"
STAGES = {"front_end": "front end", "invoke": "network", "whole": "samples to probabilities"}


def measure_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert measure",
        description="Latency on this machine and counted ARM instructions of a model file; the next "
        "conversion with --evaluation shows them in the card.",
    )
    parser.add_argument("model", type=Path, metavar="NAME.tflite")
    parser.add_argument(
        "--counts", type=Path, metavar="FILE.json", help=f"instruction counts (default: {COUNTS.name})"
    )
    parser.add_argument(
        "--min-secs", type=float, default=1.0, metavar="S", help="of each stage, at least (1)"
    )
    return with_output(parser)


def run_measure(options: argparse.Namespace, given: list[str]) -> int:
    """Measure, add the rows to the evaluation, print them."""
    settings = Settings(min_secs=options.min_secs, warmup_min_secs=options.min_secs / 2)
    result = measure_apart(options.model, None, settings)
    runs = f" in {result['runs']} runs" if result["runs"] > 1 else ""
    counts = read_counts(options.counts, result["model"], result["graph_sha256"] + runs)
    rows = [*latency_rows(result), *counts]
    part = {"graph_sha256": result["graph_sha256"], "runs": result["runs"], "rows": rows}
    add(options.output, "measured", part, given)
    print(table(("what", "value", "where"), part["rows"]))
    return 0


def latency_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """(what, value, where) of a result of edge_ser.bench."""
    unit = "window" if result["form"] == "window" else "chunk"
    where = f"this machine, {result['runtime']} {result['runtime_version']}, one thread"
    names = STAGES | ({"invoke": f"network, {result['runs']} runs"} if result["runs"] > 1 else {})
    return [
        [
            f"{name}, a {unit} of {result['audio_s']:g} s",
            f"{result['stages_ms'][stage]['p50']:.3g} ms (p99 {result['stages_ms'][stage]['p99']:.3g})",
            where,
        ]
        for stage, name in names.items()
    ]


def read_counts(path: Path | None, model: str, graph: str) -> list[list[str]]:
    """(what, value, where) of the counted stages whose name ends with the model's; none without a record of
    this ``graph`` (its digest, and in how many runs it hears a window where these are several).
    """
    if path is None and not COUNTS.is_file():
        return []
    path = path or COUNTS
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
        if counts.pop("graphs", {}).get(model) != graph:
            return []
        return [
            [stage.removesuffix(f", {model}"), f"{number:,} instructions", f"{cpu}, emulated"]
            for cpu, stages in counts.items()
            for stage, number in stages.items()
            if stage.endswith(f", {model}")
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path}: no counts ({error}); write them with benchmarks/arm_instructions.py --update"
        ) from None


def measured_section(record: Mapping[str, Any]) -> str:
    """The card's section; what is not known of this very graph is said to be not measured."""
    part = record["evaluation"].get("measured", {})
    runs = 1 + len(record.get("warps", []))
    if (part.get("graph_sha256"), part.get("runs", 1)) != (record["graph"]["sha256"], runs):
        return "## Cost\n\nLatency and instruction counts of this graph: not measured."
    rows = part["rows"]
    counted = any("instructions" in value for _, value, _ in rows)
    missing = "" if counted else "\n\nInstruction counts: not measured."
    return f"## Cost\n\n{table(('what', 'value', 'where'), rows)}{missing}\n\nMeasured by {where_from(part)}."
