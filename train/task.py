"""The unit of work that may run anywhere: fit one recipe on some utterances and score others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.utterance import Utterance


@dataclass(frozen=True)
class Task:
    """Everything :func:`run_task` needs, picklable. ``choices`` are overrides of which one is chosen inside
    (nested).
    """

    recipe: dict[str, Any]
    train: tuple[Utterance, ...]
    held_out: tuple[Utterance, ...]
    root: str
    folder: str
    seed: int
    command: str = ""
    choices: tuple[tuple[str, ...], ...] = ()


def run_task(task: Task, quiet: bool = True) -> str:
    """Do the task and return its folder. A finished folder is returned at once, a begun one is continued."""
    folder = Path(task.folder)
    if (folder / "run.json").is_file():
        return task.folder
    from train.models import architecture
    from train.recipe import recipe_from_dict

    recipe = recipe_from_dict(task.recipe, task.recipe["name"])
    if task.choices:
        from train.nested import choose

        recipe = choose(task, recipe)
    module = architecture(recipe.model.architecture)
    given = (recipe, task.train, task.held_out, Path(task.root), folder, task.seed, task.command, quiet)
    if hasattr(module, "fit"):
        module.fit(*given)
    else:
        from train.fit import fit
        from train.teacher import teacher_tasks

        fit(*given, [Path(run_task(each, quiet)) for each in teacher_tasks(task, recipe)])
    return task.folder
