"""Train on some corpora, test on others: how a model does with strangers, their rooms and their language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ser.errors import ConfigError
from train.recipe import Recipe
from train.selection import select
from train.splits import check_leaks
from train.task import Task, run_task


def cross_corpus(
    recipe: Recipe,
    train: Sequence[str],
    test: Sequence[str],
    root: Path,
    folder: Path,
    seed: int = 0,
    command: str = "",
) -> dict[str, Any]:
    """Fit on the corpora ``train``, score the corpora ``test``; the run's description with the protocol in
    words.

    Labels, merges and rules are the recipe's. A label that only some corpora have is allowed as long as the
    training data have it.
    """
    both = set(train) & set(test)
    if both:
        raise ConfigError(f"leak: corpus {min(both)} is in --train and in --test")
    chosen = select(replace(recipe.data, corpora=list(train)), root).utterances
    tested = select(replace(recipe.data, corpora=list(test)), root, every_label=False).utterances
    check_leaks(chosen, tested)
    task = Task(recipe.as_dict(), tuple(chosen), tuple(tested), str(root), str(folder), seed, command)
    run_task(task, quiet=False)
    result: dict[str, Any] = json.loads((folder / "run.json").read_text())
    result["protocol"] = f"trained on {', '.join(train)}, tested on {', '.join(test)} (unseen corpora)"
    return result
