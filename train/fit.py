"""Fit one model: epochs over the training data, a checkpoint after each, the last epoch as the result.

Held-out utterances, if any, are scored after every epoch for the learning curve and once more at the end.
Nothing is chosen by them. Everything random derives from (seed, epoch), so a fit that was killed and is
started again ends with the same weights as one that ran through.
"""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.errors import ConfigError
from train import encoder
from train.arrays import Scores
from train.atomic import write_text
from train.checkpoint import load_checkpoint, save_checkpoint
from train.dataset import TrainingSet, true_labels
from train.features import Extractor
from train.metrics import confusion, uar
from train.models import Shape, build_model
from train.predict import Predictor
from train.progress import Progress
from train.recipe import Recipe
from train.run_folder import begin, finish
from train.targets import classes_of, head_widths
from train.teacher import Teacher
from train.tensorboard import Board
from train.utterance import Utterance

CHECKPOINT = "checkpoint.npz"


def fit(
    recipe: Recipe,
    train: Sequence[Utterance],
    held_out: Sequence[Utterance],
    root: Path,
    folder: Path,
    seed: int = 0,
    command: str = "",
    quiet: bool = False,
    teachers: Sequence[Path] = (),
) -> None:
    """Train ``recipe`` on ``train`` and leave a run in ``folder`` (docs/training.md says what a run holds).

    ``teachers`` are the finished runs of its teacher, for a recipe that has one (train/teacher.py).

    A ``folder`` that already holds the finished run is left alone. One that was begun is continued, or begun
    anew when it belongs to another recipe, seed, list or commit of the front end.
    """
    import keras

    if (folder / "run.json").is_file():
        return
    if len(teachers) != len(recipe.teacher.seeds if recipe.teacher.recipe else []):
        raise ConfigError(
            f"{recipe.name}: fit needs the runs of its teachers; train.task.run_task makes them"
        )
    begun = time.process_time()
    opinions = encoder.opinions(recipe, train, root) if recipe.encoder.weight else None
    further = opinions.further if opinions else ()
    work = begin(folder, recipe, train, held_out, seed, command, teachers, further)
    keras.utils.clear_session()
    extractor = Extractor(recipe, root)
    data = TrainingSet(recipe, extractor, train, seed, opinions)
    if teachers:
        data.teacher = Teacher(teachers, extractor, data.normalise).answers
    shape = Shape(extractor.frames, extractor.n_features, len(classes_of(recipe)), head_widths(recipe))
    model = build_model(recipe.model, shape, seed)
    _compile(model, recipe, data.steps)
    predictor = Predictor(recipe, extractor, data.normalise, held_out) if held_out else None
    done = load_checkpoint(work / CHECKPOINT, model) if (work / CHECKPOINT).is_file() else 0
    rows = _read_rows(work / "metrics.csv")[:done]
    board = Board(work / "tensorboard")
    progress = Progress(f"{recipe.name} → {folder.name}", recipe.fit.epochs, data.steps)
    for epoch in range(done, recipe.fit.epochs):
        row = _epoch(model, data, epoch, None if quiet else progress)
        if predictor is not None:
            scores = _with_averages(model, recipe, lambda: predictor.scores(model, warped=False))
            row["held_out_uar"] = _uar(recipe, held_out, scores)
        rows.append(row)
        write_text(work / "metrics.csv", _csv(rows))
        board.write(epoch, row)
        save_checkpoint(work / CHECKPOINT, model, epoch + 1)
        if not quiet:
            progress.epoch(epoch, row)
    board.close()
    if not quiet:
        progress.close()
    if recipe.optimizer.ema_momentum:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    scores = predictor.scores(model) if predictor is not None else np.empty((0, len(recipe.data.labels)))
    (work / CHECKPOINT).unlink()
    processor_s = time.process_time() - begun
    finish(work, folder, model, recipe, extractor, data.normalise, held_out, scores, processor_s)


def _compile(model: Any, recipe: Recipe, steps: int) -> None:
    from train.optimizers import compile_model

    compile_model(model, recipe, steps)
    model.optimizer.build(model.trainable_variables)


def _epoch(model: Any, data: TrainingSet, epoch: int, progress: Progress | None) -> dict[str, float]:
    """One pass over the training data; the mean loss and the learning rate at its end."""
    losses = []
    heads = bool(data.recipe.model.heads)
    for step, batch in enumerate(data.batches(epoch)):
        targets: Any = batch.targets if heads else batch.targets["emotion"]
        weights: Any = batch.weights if heads else batch.weights["emotion"]
        result = model.train_on_batch(batch.inputs, targets, sample_weight=weights)
        model.reset_metrics()
        losses.append(float(result[0] if isinstance(result, list) else result))
        if progress is not None:
            progress.step(epoch, step, losses[-1])
    rate = float(np.asarray(model.optimizer.learning_rate))
    return {"epoch": epoch + 1, "loss": float(np.mean(losses)), "learning_rate": rate}


def _with_averages(model: Any, recipe: Recipe, ask: Any) -> Scores:
    """``ask()`` while the averaged weights stand in for the current ones."""
    if not recipe.optimizer.ema_momentum:
        return ask()  # type: ignore[no-any-return]
    import keras

    current = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    scores: Scores = ask()
    for variable, value in zip(model.trainable_variables, current, strict=True):
        variable.assign(value)
    return scores


def _uar(recipe: Recipe, utterances: Sequence[Utterance], scores: Scores) -> float:
    labels = recipe.data.labels
    return uar(confusion(true_labels(labels, utterances), scores.argmax(axis=1), len(labels)))


def _csv(rows: Sequence[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
    return text.getvalue()


def _read_rows(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def discard(folder: Path) -> None:
    """Remove a run and what was begun of it."""
    for path in (folder, folder.with_name(f".{folder.name}.partial")):
        shutil.rmtree(path, ignore_errors=True)
