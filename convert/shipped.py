"""``python -m convert shipped``: train and convert the models that ship, as convert/shipped.toml lists them.

Temperature, threshold and the figures of the cards come from convert/evaluations/NAME.json, which
cross-validation makes (docs/models.md has the commands); without that file a model is written uncalibrated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

from convert.evaluate import EVALUATIONS
from edge_ser.errors import ConfigError, ModelError
from edge_ser.model import MODELS, Model

LIST = Path(__file__).parent / "shipped.toml"


def shipped() -> dict[str, dict[str, Any]]:
    """The models that ship: name -> recipe, seed, minutes; overrides of the recipe (set) and options of the
    conversion (convert), if any.
    """
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def shipped_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert shipped",
        description="Train and convert the models that ship (convert/shipped.toml). Finished runs of the "
        "same recipe and data are kept, begun ones go on.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/shipped"), metavar="FOLDER", help="of the training runs"
    )
    parser.add_argument("--models", type=Path, default=MODELS, metavar="FOLDER", help="where the models go")
    parser.add_argument("--list", action="store_true", help="what it would take; nothing is done")
    return parser


def run_shipped(options: argparse.Namespace, given: list[str]) -> int:
    """Make the models named, all if none is; the exit status of the first that fails."""
    from train.naming import nearest

    listed = shipped()
    names = options.names or list(listed)
    for name in names:
        if name not in listed:
            raise ConfigError(f"{name}: no shipped model{nearest(name, listed)}; {LIST} lists them")
    minutes = sum(listed[name]["minutes"] for name in names)
    print(f"{len(names)} models, about {minutes} minutes of one thread: {', '.join(names)}", flush=True)
    for name in [] if options.list else names:
        status = _make(name, listed[name], options.runs / name, options.models)
        if status:
            return status
    return 0


def _make(name: str, entry: dict[str, Any], run: Path, models: Path) -> int:
    from convert.__main__ import main as convert
    from train.__main__ import main as train

    fit = ["fit", entry["recipe"], "--seed", str(entry["seed"]), "-o", str(run)]
    for override in entry.get("set", []):
        fit += ["--set", override]
    print(f"\n{name}: python -m train {shlex.join(fit)}", flush=True)
    _discard_other(run, entry)
    status = train(fit)
    if status:
        return status
    path, card = models / f"{name}.tflite", models / f"{name}.md"
    before = digests(path)
    arguments = [str(run), "-o", str(path), "--card", str(card), *entry.get("convert", [])]
    evaluation = EVALUATIONS / f"{name}.json"
    if evaluation.is_file():
        arguments += ["--evaluation", str(evaluation)]
    status = convert(arguments)
    if status:
        return status
    after = digests(path)
    print(f"sha256 of the file  {after[0]}{_compared(before[0], after[0])}")
    print(f"sha256 of the graph {after[1]}{_compared(before[1], after[1])}")
    print(_figures(path))
    return 0


def digests(path: Path) -> tuple[str, str]:
    """SHA-256 of a model file and of its graph; empty where there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest(), Model.load(path).record["graph"]["sha256"]
    except (OSError, ModelError):
        return "", ""


def _compared(before: str, after: str) -> str:
    return "" if not before else " (as before)" if before == after else " (another than before)"


def _figures(path: Path) -> str:
    """What the file says of its accuracy: on speakers, and on whole corpora, that training had not heard."""
    evaluation = Model.load(path).record.get("evaluation", {})
    said = []
    if "uar" in evaluation:
        both = ", ".join(f"{name.upper()} {100 * evaluation[name]['int8']:.1f} %" for name in ("uar", "wa"))
        said.append(f"{both} (int8; {evaluation['protocol']}, seeds {evaluation['seeds']})")
    if "strangers" in evaluation:
        corpora, mean = len(evaluation["strangers"]["rows"]), evaluation["strangers"]["mean"]["plain"]["uar"]
        said.append(f"UAR {100 * mean:.1f} % (int8; mean of {corpora} corpora that training had not heard)")
    evaluations = EVALUATIONS / f"{path.stem}.json"
    return (
        "\n".join(said) or f"no figures in {evaluations}; python -m convert cv, or strangers, measures them"
    )


def _discard_other(run: Path, entry: dict[str, Any]) -> None:
    """Throw away a finished run of another recipe, seed or data under this name."""
    from train.corpora import corpora_root
    from train.fit import discard
    from train.recipe import deciding, load_recipe
    from train.selection import select
    from train.task import Task
    from train.teacher import teacher_tasks
    from train.utterance import manifest_digest

    if not (run / "run.json").is_file():
        return
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    recipe = load_recipe(entry["recipe"], entry.get("set", []))
    chosen = tuple(select(recipe.data, corpora_root()).utterances)
    task = Task(recipe.as_dict(), chosen, (), str(corpora_root()), str(run), entry["seed"])
    teachers = [Path(each.folder).name for each in teacher_tasks(task, recipe)]
    made = (deciding(record["recipe"]), record["seed"], record["manifest_digest"], record.get("teachers", []))
    if made != (deciding(recipe.as_dict()), entry["seed"], manifest_digest(chosen), teachers):
        discard(run)
