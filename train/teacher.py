"""Teachers: networks of another recipe whose answers are learnt along with the labels (Hinton et al. 2015).

They learn from the very utterances that the pupil learns from, so a fold's held-out speakers stay unknown to
all, and they are asked about each input as the pupil hears it, augmented. A step model learns most from it:
windows can be judged by what a stream may not wait for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from train.arrays import Features
from train.dataset import Normalisation
from train.features import Extractor
from train.models import load_model
from train.predict import softmax
from train.recipe import Recipe, deciding, frontend_options, load_recipe
from train.task import Task
from train.utterance import manifest_digest


def teacher_tasks(task: Task, recipe: Recipe) -> list[Task]:
    """The fits that ``task``, a fit of ``recipe``, learns from: one a seed of its teacher, none if it has
    none.

    They hear recordings from where the pupil does (input.lead_s). Their runs lie in ``teachers`` beside the
    task's folder, named by recipe, data and seed, so that all seeds of a fold share them. Raises ConfigError
    where teacher and pupil do not hear or say the same.
    """
    if not recipe.teacher.recipe:
        return []
    teacher = load_recipe(recipe.teacher.recipe)
    _check(teacher, recipe)
    teacher = replace(teacher, input=replace(teacher.input, lead_s=recipe.input.lead_s))
    plain = teacher.as_dict()
    told = json.dumps([deciding(plain), manifest_digest(task.train)], sort_keys=True)
    name = f"{teacher.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    folder = Path(task.folder).parent / "teachers"
    return [
        replace(
            task, recipe=plain, held_out=(), folder=str(folder / f"{name}-seed-{seed}"), seed=seed, choices=()
        )
        for seed in recipe.teacher.seeds
    ]


def _check(teacher: Recipe, pupil: Recipe) -> None:
    where = f"{pupil.name}: teacher.recipe = {teacher.name!r}"
    if teacher.teacher.recipe:
        raise ConfigError(f"{where} has a teacher itself")
    if not pupil.teacher.seeds:
        raise ConfigError(f"{where}, but teacher.seeds is empty")
    if teacher.data.labels != pupil.data.labels or "class" in (teacher.input.silence, pupil.input.silence):
        raise ConfigError(f"{where} needs the same labels, and silence as a class in neither")
    if teacher.input.cut != "window" or pupil.input.cut == "segment":
        raise ConfigError(f"{where}: a teacher hears windows, its pupil windows or whole utterances")
    options, own = (frontend_options(each).as_dict() for each in (teacher, pupil))
    if options != own:
        key = next(key for key in own if own[key] != options[key])
        raise ConfigError(
            f"{where} has another front end: {key} is {options[key]!r} there and {own[key]!r} here"
        )


class Teacher:
    """The networks of finished ``runs``, asked about inputs that ``extractor`` and ``normalise`` made for a
    pupil.
    """

    def __init__(self, runs: Sequence[Path], extractor: Extractor, normalise: Normalisation) -> None:
        self.models = [load_model(run / "model.keras") for run in runs]
        described = json.loads((runs[0] / "run.json").read_text(encoding="utf-8"))["input"]
        self.frames = int(described["frames"])
        mean, std = (np.array(described[name], dtype=np.float32) for name in ("mean", "std"))
        self.normalise = Normalisation(mean, std)
        self.pupil = normalise
        self.padded = extractor.input.cut == "whole"
        self.silence = extractor.silence()

    def answers(self, inputs: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Of standardised inputs [batch, frames, features] the mean of the networks' softmax [batch, labels].

        Of what is longer than a window they hear one at a random place; what is shorter ends in silence.
        """
        windows = np.stack([self._window(each, rng) for each in inputs])
        said = [softmax(np.asarray(_emotion(model, windows))) for model in self.models]
        return np.asarray(np.mean(said, axis=0), dtype=np.float32)

    def _window(self, features: Features, rng: np.random.Generator) -> Features:
        heard = len(features)
        if self.padded:
            live = np.flatnonzero(features.any(axis=1))
            heard = int(live[-1]) + 1 if len(live) else 0
        start = int(rng.integers(max(heard - self.frames, 0) + 1))
        part = features[start : min(start + self.frames, heard)]
        window = np.tile(self.silence, (self.frames, 1))
        window[: len(part)] = part * self.pupil.std + self.pupil.mean
        return self.normalise(window)


def _emotion(model: Any, windows: NDArray[np.float32]) -> Any:
    outputs = model.predict_on_batch(windows)
    return outputs["emotion"] if isinstance(outputs, dict) else outputs
