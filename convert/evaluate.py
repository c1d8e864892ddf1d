"""``python -m convert cv | robustness | strangers | short | measure``: the commands that measure. All of what
is known of one model's recipe stands in one file, convert/evaluations/NAME.json: ``cv`` writes it, the others
add a part.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_ser.errors import ConfigError, ModelError
from edge_ser.provenance import Machine
from train.run_folder import git_commit

EVALUATIONS = Path(__file__).parent / "evaluations"
ADDED = ("robustness", "strangers", "short", "measured")


def robustness_parser() -> argparse.ArgumentParser:
    parser = _of_folds(
        "robustness",
        "UAR under perturbation, float and int8, of the folds that convert cv converted, "
        "or of the runs that convert strangers did.",
    )
    parser.add_argument("--folds", type=int, metavar="N", help="only the first N folds")
    return parser


def short_parser() -> argparse.ArgumentParser:
    return _of_folds(
        "short",
        "How much answers are worth that rest on little speech, of the folds that convert cv "
        "or strangers converted; the next conversion with the evaluation holds the model to it.",
    )


def _of_folds(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m convert {command}", description=description)
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="CV", help="the cross-validation, or runs of train cross"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th utterance")
    return with_output(parser)


def strangers_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert strangers",
        description="Unseen corpora, int8: as is and adapted, of runs of python -m train cross.",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="one unseen corpus each")
    return with_output(parser)


def with_output(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.json", help="the evaluation to add to"
    )
    return parser


def run_robustness(options: argparse.Namespace, given: list[str]) -> int:
    """Measure, add the table to the evaluation, print it."""
    from convert.robustness import measure_folds
    from convert.tables import robustness_table
    from train.corpora import corpora_root

    if options.every < 1 or (options.folds is not None and options.folds < 1):
        raise ConfigError("--every and --folds: 1 or more")
    part = measure_folds(options.folders, corpora_root(), options.every, options.folds, print)
    add(options.output, "robustness", part, given)
    print(robustness_table(part))
    print("halved: " + (", ".join(part["halved"]) or "nothing short of noise at 0 dB"))
    return 0


def run_short(options: argparse.Namespace, given: list[str]) -> int:
    """Measure, add the curve and its rows to the evaluation, print them."""
    from convert.short import measure_short
    from convert.tables import short_table
    from train.corpora import corpora_root

    if options.every < 1:
        raise ConfigError("--every: 1 or more")
    evaluation = read_evaluation(options.output)
    part = measure_short(options.folders, evaluation, corpora_root(), options.every, print)
    add(options.output, "short", part, given)
    print(short_table(part))
    print(f"full_s {part['full_s']:g}, exponent {part['exponent']:g}")
    return 0


def run_strangers(options: argparse.Namespace, settings: Any, given: list[str]) -> int:
    """Measure, add the table to the evaluation, print it."""
    from convert.strangers import measure_strangers
    from convert.tables import strangers_table

    part = measure_strangers(options.runs, settings, print)
    add(options.output, "strangers", part, given)
    print(strangers_table(part))
    return 0


def add(path: Path, name: str, part: Mapping[str, Any], given: list[str]) -> None:
    """Write ``part`` with where and how it was measured into the evaluation at ``path``."""
    from convert.modelfile import to_json

    evaluation = read_evaluation(path) if path.is_file() else {}
    evaluation[name] = {**stamp(["python", "-m", "convert", *given]), **part}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(evaluation), encoding="utf-8")


def kept(path: Path) -> dict[str, Any]:
    """What others than ``cv`` have added to the evaluation at ``path``."""
    before = read_evaluation(path) if path.is_file() else {}
    return {name: before[name] for name in ADDED if name in before}


def read_evaluation(path: Path) -> dict[str, Any]:
    """An evaluation; ModelError where there is none."""
    try:
        evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: no evaluation ({error}); write one with python -m convert cv") from None
    return evaluation


def stamp(command: list[str]) -> dict[str, str]:
    """Where, when, by what and at which commit something was measured."""
    machine = asdict(Machine.read())
    return {
        "command": shlex.join(command),
        "git_commit": git_commit(),
        "date": machine["date"][:10],
        "machine": f"{machine['cpu'] or machine['machine']}, {machine['cores']} cores",
    }
