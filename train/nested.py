"""Nested choice: what is chosen is chosen by speakers of the training data, inside every fold."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from train.atomic import write_json
from train.dataset import true_labels
from train.metrics import confusion, uar
from train.predict import read_scores
from train.recipe import Evaluation, Recipe, apply_overrides, recipe_from_dict
from train.splits import make_folds
from train.task import Task, run_task

INNER_FOLDS = 3


def choose(task: Task, recipe: Recipe) -> Recipe:
    """The recipe with that set of overrides among ``task.choices`` that is best in folds inside
    ``task.train``.

    The inner folds are of speakers, or random where the outer protocol is. All inner figures go into
    FOLDER-choice/choice.json beside the run.
    """
    base = Path(task.folder).with_name(f"{Path(task.folder).name}-choice")
    split = "random-kfold" if recipe.evaluation.split == "random-kfold" else "group-kfold"
    folds = make_folds(task.train, Evaluation(split=split, folds=INNER_FOLDS), task.seed)  # type: ignore[arg-type]
    labels = recipe.data.labels
    figures = []
    for number, overrides in enumerate(task.choices):
        tree = copy.deepcopy(task.recipe)
        apply_overrides(tree, overrides)
        total = np.zeros((len(labels), len(labels)), dtype=np.int64)
        for fold in folds:
            held_out = tuple(task.train[i] for i in fold.test)
            inner = replace(
                task,
                recipe=tree,
                train=tuple(task.train[i] for i in fold.train),
                held_out=held_out,
                folder=str(base / f"choice-{number}-{fold.name.replace(' ', '-')}"),
                choices=(),
            )
            scores = read_scores(Path(run_task(inner)) / "predictions.csv")
            total += confusion(true_labels(labels, held_out), scores.argmax(axis=1), len(labels))
        figures.append(uar(total))
    best = int(np.argmax(figures))
    write_json(
        base / "choice.json",
        {
            "choices": [list(each) for each in task.choices],
            "inner_uar": figures,
            "chosen": list(task.choices[best]),
        },
    )
    tree = copy.deepcopy(task.recipe)
    apply_overrides(tree, task.choices[best])
    return recipe_from_dict(tree, recipe.name)
