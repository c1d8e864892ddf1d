"""docs/results.md: the runs behind it (docs/results/runs.toml), their figures as JSON, the page
made of those.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_ser.errors import ConfigError
from train.atomic import write_json, write_text
from train.corpora import corpora_root
from train.cv import cross_validate
from train.naming import nearest
from train.recipe import load_recipe
from train.selection import select

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "results"
KEPT = (
    "recipe_name",
    "protocol",
    "seeds",
    "labels",
    "per_seed",
    "folds",
    "metrics",
    "versions",
    "git_commit",
)
INTRODUCTION = """# Results of the recipes

What the published systems say of themselves, and what their recipes give here under a named protocol. The
last epoch is the result of every fit, no figure was chosen by the data it is of, and intervals are 95 % over
speakers (bootstrap). *Speaker-dependent* means that the same people are in training and test: such figures
say little about strangers. *Minutes* are of one thread's processor time, for one fit (one fold, one seed).

Where a corpus could not be had, another stands in for it and the row says so; where a schedule was cut short
to fit two shared CPU cores, the row says that too. Made by `python -m train results write` from the files in
[docs/results](results); `python -m train results run ID` makes a row again as
[runs.toml](results/runs.toml) now lists it.
"""


def listed() -> dict[str, Any]:
    """The content of docs/results/runs.toml."""
    return tomllib.loads((FOLDER / "runs.toml").read_text(encoding="utf-8"))


def run_results(names: Sequence[str], output: Path, workers: int, tell: Callable[[str], None]) -> None:
    """Cross-validate each of the listed runs ``names`` below ``output`` and write docs/results/NAME.json."""
    runs = listed()["runs"]
    for name in names:
        if name not in runs:
            raise ConfigError(f"no run {name!r} in {FOLDER / 'runs.toml'}{nearest(name, runs)}")
    for name in names:
        recipe = load_recipe(runs[name]["recipe"], runs[name]["set"])
        utterances = select(recipe.data).utterances
        cv = cross_validate(recipe, utterances, corpora_root(), output / name, workers, tell=tell)
        kept = {key: cv[key] for key in KEPT}
        fits = [json.loads((output / name / each["folder"] / "run.json").read_text()) for each in cv["folds"]]
        spent_s = [each["processor_s"] for each in fits if "processor_s" in each]
        kept |= {
            "set": runs[name]["set"],
            "note": runs[name].get("note", ""),
            "corpora": recipe.data.corpora,
            "parameters": fits[0]["model"].get("parameters"),
            "minutes_a_fit": round(statistics.median(spent_s) / 60.0, 2) if spent_s else None,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        }
        write_json(FOLDER / f"{name}.json", kept)


def write_results() -> Path:
    """Make docs/results.md from the JSON files that are there and return its path."""
    listing = listed()
    parts = [INTRODUCTION]
    for system in listing["systems"].values():
        parts.append(f"## {system['title']}\n")
        published = _published(system["recipes"])
        if published or "note" in system:
            parts.append(published or f"{system['note']}\n")
        rows = [
            _row(name, run)
            for name, run in listing["runs"].items()
            if run["recipe"] in system["recipes"] and (FOLDER / f"{name}.json").is_file()
        ]
        parts.append(_table(rows) if rows else "Not run yet.\n")
    path = DOCS / "results.md"
    write_text(path, "\n".join(parts))
    return path


def _row(name: str, run: dict[str, Any]) -> dict[str, Any]:
    """The figures of run ``name``; a note says so when runs.toml has changed since they were made."""
    row: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    if row["set"] != run["set"]:
        row["note"] = "; ".join(filter(None, [row["note"], "runs.toml asks for a fuller run since"]))
    if row["protocol"].startswith("leave one corpus out"):
        row["note"] = "; ".join(filter(None, [row["note"], _by_corpus(row["folds"])]))
    return row


def _by_corpus(folds: Sequence[dict[str, Any]]) -> str:
    """UAR of each corpus that was left out, mean over seeds, and the mean of the corpora."""
    corpora: dict[str, list[float]] = {}
    for fold in folds:
        corpora.setdefault(fold["name"], []).append(fold["uar"])
    means = {name: statistics.fmean(each) for name, each in corpora.items()}
    means["mean"] = statistics.fmean(means.values())
    return "UAR by corpus: " + ", ".join(f"{name} {each:.3f}" for name, each in means.items())


def _published(names: Sequence[str]) -> str:
    rows = [
        f"| {system} | {figure} |" for name in names for system, figure in load_recipe(name).published.items()
    ]
    return "\n".join(["| published | figure |", "|---|---|", *dict.fromkeys(rows), ""]) if rows else ""


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ["recipe", "corpora", "protocol", "UAR", "WA", "macro precision", "top 3", "women (UAR)"]
    head += ["men (UAR)", "parameters", "minutes", "made"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    notes = []
    for number, row in enumerate(rows, start=1):
        metrics = row["metrics"]
        mark = f" ({number})" if row["note"] else ""
        genders = [_uar(metrics["per_gender"].get(gender)) for gender in ("female", "male")]
        cells = [
            f"{row['recipe_name']}{mark}",
            ", ".join(row["corpora"]),
            f"{row['protocol']}, {len(row['seeds'])} seed{'s' if len(row['seeds']) > 1 else ''}",
            _figure(metrics, "uar"),
            _figure(metrics, "wa"),
            f"{metrics['macro_precision']:.3f}",
            f"{metrics['top_3']:.3f}",
            *genders,
            f"{row['parameters']:,}" if row["parameters"] else "–",
            f"{row['minutes_a_fit']:.1f}" if row.get("minutes_a_fit") else "–",
            row["date"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if row["note"]:
            notes.append(f"({number}) {row['note']}.")
    return "\n".join([*lines, "", *(f"{note}  " for note in notes), ""])


def _figure(metrics: dict[str, Any], key: str) -> str:
    low, high = metrics[f"{key}_interval"]
    return f"**{metrics[key]:.3f}** [{low:.3f}, {high:.3f}]"


def _uar(part: dict[str, float] | None) -> str:
    return f"{part['uar']:.3f}" if part else "–"
