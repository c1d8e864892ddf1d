"""What `edge-ser bench` prints: for people, as JSON, and as a row for docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edge_ser.bench import Settings
from edge_ser.provenance import Conditions, Machine, describe, warnings

STAGES = {"front_end": "front end", "quantise": "quantise", "invoke": "invoke", "whole": "whole window"}
COLUMNS = ["p50", "p90", "p95", "p99", "max"]

SUBMIT_HEADER = (
    "| board | processor, governor | system | runtime | model | front end | invoke | whole p50 | whole p99 "
    "| real-time factor | memory | date, remarks |"
)


def as_record(
    machine: Machine, before: Conditions, after: Conditions, settings: Settings, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything, for JSON (docs/formats.md)."""
    return {
        "v": 1,
        "machine": machine.as_dict(),
        "before": asdict(before),
        "after": asdict(after),
        "warnings": warnings(before, after),
        "settings": asdict(settings),
        "results": results,
    }


def as_text(record: dict[str, Any]) -> str:
    """For people."""
    machine = record["machine"]
    board, cpu = machine["board"] or "unnamed board", machine["cpu"] or "unknown processor"
    lines = [
        f"{board}, {machine['cores']} x {cpu}, {machine['memory_mb']} MB, {machine['os']}, "
        f"kernel {machine['kernel']}, {machine['machine']}",
        f"Python {machine['python']}, numpy {machine['numpy']}, "
        f"edge_ser {machine['edge_ser']}, {machine['date']}",
        f"before: {describe(Conditions(**record['before']))}",
        f"after:  {describe(Conditions(**record['after']))}",
    ]
    for result in record["results"]:
        lines += ["", *_result_lines(result, record["settings"])]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in record["warnings"])])


def _result_lines(result: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    threads = settings["num_threads"]
    new = f"{result['arrives_s']:g} s"
    lines = [
        f"{result['model']} ({result['graph_bytes'] / 1000:.0f} kB, sha256 {result['graph_sha256'][:8]}) on "
        f"{result['runtime']} {result['runtime_version']}, {threads} thread{'s' if threads > 1 else ''}",
        f"  cold start {result['cold_start_ms']:.0f} ms: imports {result['imports_ms']:.0f}, "
        f"model {result['load_ms']:.1f}, first window {result['first_ms']:.2f}",
        "  ms          " + "".join(f"{column:>10}" for column in COLUMNS) + "      runs",
    ]
    if result["runs"] > 1:
        lines.insert(1, f"  hears a window {result['runs']} times, warped: invoke is the sum of these runs")
    for stage, title in STAGES.items():
        lines.append(_row(title, result["stages_ms"][stage]))
    if result["paced"]:
        lines.append(_row(f"every {new}", result["paced"]))
        if result["paced"]["late"]:
            lines.append(
                f"  {result['paced']['late']} of {result['paced']['runs']} runs took longer than {new}"
            )
    lines.append(
        f"  real-time factor {result['real_time_factor']:.5f} (p50 of a whole window over the {new} of new "
        f"audio in it), peak memory {_memory(result)}"
    )
    return lines


def _row(title: str, times: dict[str, Any]) -> str:
    return f"  {title:12}" + "".join(f"{times[column]:10.3f}" for column in COLUMNS) + f"{times['runs']:10}"


def _memory(result: dict[str, Any]) -> str:
    return "unknown" if result["peak_rss_mb"] is None else f"{result['peak_rss_mb']:.0f} MB"


def as_rows(record: dict[str, Any]) -> str:
    """One line a result, in the columns of SUBMIT_HEADER; times in milliseconds."""
    machine, before = record["machine"], record["before"]
    rows = []
    for result in record["results"]:
        stages = result["stages_ms"]
        cells = [
            machine["board"] or "?",
            f"{machine['cpu'] or '?'}, {before['governor'] or 'no governor'}",
            f"{machine['os'] or '?'}, {machine['machine']}, Python {machine['python']}",
            f"{result['runtime']} {result['runtime_version']}",
            f"{result['model']} {result['graph_sha256'][:8]}",
            f"{stages['front_end']['p50']:.3f} ms",
            f"{stages['invoke']['p50']:.3f} ms",
            f"{stages['whole']['p50']:.3f} ms",
            f"{stages['whole']['p99']:.3f} ms",
            f"{result['real_time_factor']:.5f}",
            _memory(result),
            "; ".join([machine["date"], *record["warnings"]]),
        ]
        rows.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    return "\n".join(rows)
