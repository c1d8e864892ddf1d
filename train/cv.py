"""Cross-validation: folds × seeds as independent tasks, and their figures together."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np

from train.atomic import write_json
from train.dataset import true_labels
from train.executor import open_executor
from train.metrics import confusion, evaluate, uar, wa
from train.predict import read_scores
from train.recipe import Recipe, deciding
from train.run_folder import SCHEMA, git_commit, versions
from train.splits import make_folds, protocol
from train.task import Task, run_task
from train.teacher import teacher_tasks
from train.utterance import Utterance, manifest_digest, read_utterances


def cross_validate(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    root: Path,
    folder: Path,
    workers: int = 1,
    cluster: str | None = None,
    command: str = "",
    choices: Sequence[Sequence[str]] = (),
    tell: Callable[[str], None] = print,
    together: bool = False,
) -> dict[str, Any]:
    """Fit every fold with every seed of ``recipe.evaluation`` into ``folder`` and return what goes into its
    cv.json.

    Finished folds of an earlier, interrupted call are kept. ``choices`` are sets of overrides, one of which
    is chosen inside each fold by its training data (train/nested.py). ``together``: all at once as one
    program, whose batches ``workers`` processes make (train/together.py).
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for seed in recipe.evaluation.seeds:
        for number, fold in enumerate(make_folds(utterances, recipe.evaluation, seed), start=1):
            task = Task(
                recipe.as_dict(),
                tuple(utterances[i] for i in fold.train),
                tuple(utterances[i] for i in fold.test),
                str(root),
                str(folder / f"fold-{number:02d}-seed-{seed}"),
                seed,
                command,
                tuple(tuple(each) for each in choices),
            )
            _check_same(task, recipe)
            tasks.append((task, fold.name))
    tell(f"{recipe.name}: {protocol(recipe.evaluation)}, seeds {recipe.evaluation.seeds}: {len(tasks)} fits")
    if together:
        from train.together import fit_together

        fit_together(recipe, [task for task, _ in tasks], workers, tell)
    with open_executor(workers, cluster) as executor:
        teachers = {each.folder: each for task, _ in tasks for each in teacher_tasks(task, recipe)}
        if teachers:
            tell(f"{recipe.name}: {len(teachers)} teachers first, by {recipe.teacher.recipe}")
        for future in [executor.submit(run_task, each) for each in teachers.values()]:
            tell(f"teacher {Path(future.result()).name}")
        running = {executor.submit(run_task, task): (task, name) for task, name in tasks}
        for count, future in enumerate(as_completed(running), start=1):
            task, name = running[future]
            future.result()
            tell(f"{count}/{len(tasks)} {name}, seed {task.seed}: {_figures(Path(task.folder))}")
    result = summarise(recipe, folder, [(Path(task.folder), name, task.seed) for task, name in tasks])
    result |= {
        "command": command,
        "manifest_digest": manifest_digest(utterances),
        "choices": list(map(list, choices)),
    }
    write_json(folder / "cv.json", result)
    return result


def _check_same(task: Task, recipe: Recipe) -> None:
    """Throw away a finished fold that was of another recipe or other data."""
    from train.fit import discard

    path = Path(task.folder) / "run.json"
    if path.is_file():
        run = json.loads(path.read_text())
        same_data = run["manifest_digest"] == manifest_digest([*task.train, *task.held_out])
        same_fit = deciding(run["recipe"]) == deciding(task.recipe)
        teachers = [Path(each.folder).name for each in teacher_tasks(task, recipe)]
        same_fit &= run.get("teachers", []) == teachers
        if not same_data or (not task.choices and not same_fit):
            discard(Path(task.folder))


def _figures(folder: Path) -> str:
    metrics = json.loads((folder / "run.json").read_text())["metrics"]
    return f"UAR {metrics['uar']:.3f}  WA {metrics['wa']:.3f}  of {metrics['utterances']}"


def summarise(recipe: Recipe, folder: Path, runs: Sequence[tuple[Path, str, int]]) -> dict[str, Any]:
    """Pool the predictions of all runs (folder, fold's name, seed): figures per seed, and over all seeds.

    Seeds score the same utterances, so the pooled figure is the mean over seeds, and a speaker drawn by the
    bootstrap brings all seeds along.
    """
    labels = recipe.data.labels
    utterances: list[Utterance] = []
    parts = []
    per_seed: dict[str, Any] = {}
    folds = []
    rows = []
    for run, name, seed in runs:
        held_out = read_utterances(run / "held_out.csv")
        scores = read_scores(run / "predictions.csv")
        counts = confusion(true_labels(labels, held_out), scores.argmax(axis=1), len(labels))
        folds.append({"name": name, "seed": seed, "folder": run.name, "uar": uar(counts), "wa": wa(counts)})
        per_seed[str(seed)] = per_seed.get(str(seed), 0) + counts
        utterances += held_out
        parts.append(scores)
        rows += [
            [seed, name, each.path, each.emotion, *map(repr, row.tolist())]
            for each, row in zip(held_out, scores, strict=True)
        ]
    scores = np.concatenate(parts)
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["seed", "fold", "path", "emotion", *labels], *rows])
    return {
        "schema": SCHEMA,
        "recipe": recipe.as_dict(),
        "recipe_name": recipe.name,
        "labels": labels,
        "protocol": protocol(recipe.evaluation),
        "seeds": recipe.evaluation.seeds,
        "git_commit": git_commit(),
        "versions": versions(),
        "folds": folds,
        "per_seed": {seed: {"uar": uar(each), "wa": wa(each)} for seed, each in per_seed.items()},
        "metrics": evaluate(utterances, true_labels(labels, utterances), scores, labels),
    }
