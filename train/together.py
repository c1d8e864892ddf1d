"""Fit many models of one recipe at once: every fold and seed is a lane of one JAX program.

A compact network leaves a GPU idle, and thirty of them side by side do not. A lane learns what ``train.fit``
would teach it, from the same batches in the same order, with one difference: all lanes take as many full
batches an epoch as the one with the most utterances, and what a lane lacks for that is drawn again from its
own. So lanes of equal sizes, whole numbers of batches, end with the weights of ``fit`` but for rounding.

Batches are made by processes of this machine, an epoch ahead. Nothing is kept until the end: a call that is
killed starts again.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from train.backend import configure
from train.dataset import TrainingSet
from train.executor import end_with_parent
from train.features import Extractor
from train.models import Shape, architecture, build_model
from train.optimizers import losses, make_optimizer
from train.predict import Predictor
from train.recipe import Recipe, recipe_from_dict
from train.run_folder import begin, finish
from train.targets import classes_of, head_widths
from train.task import Task

State = tuple[list[Any], list[Any], list[Any]]  # trainable, other and optimiser variables


@dataclass(frozen=True)
class Layout:
    """How an epoch of all lanes lies in memory: [steps, lanes, batch, …] float32 of each name, in turn."""

    steps: int
    lanes: int
    shapes: dict[str, tuple[int, ...]]  # of one batch

    @property
    def nbytes(self) -> int:
        return 4 * self.steps * self.lanes * sum(int(np.prod(shape)) for shape in self.shapes.values())

    def views(self, memory: SharedMemory) -> dict[str, NDArray[np.float32]]:
        views, offset = {}, 0
        for name, shape in self.shapes.items():
            whole = (self.steps, self.lanes, *shape)
            views[name] = np.ndarray(whole, np.float32, memory.buf, offset)
            offset += views[name].nbytes
        return views


def check(recipe: Recipe) -> None:
    """Raise ConfigError where ``recipe`` or the backend cannot be fitted together."""
    configure()
    import keras

    if keras.backend.backend() != "jax":
        raise ConfigError(
            "--together needs JAX: set KERAS_BACKEND=jax (pip install jax, jax[cuda13] for a GPU)"
        )
    if hasattr(architecture(recipe.model.architecture), "fit"):
        raise ConfigError(f"--together: {recipe.model.architecture} is no network; leave it out")
    if recipe.teacher.recipe:
        raise ConfigError(f"--together: {recipe.name} has a teacher; leave --together out")
    if recipe.encoder.weight:
        raise ConfigError(f"--together: {recipe.name} has an encoder; leave --together out")
    if recipe.input.cut == "segment" or (recipe.input.cut == "whole" and not recipe.input.max_frames):
        raise ConfigError("--together: inputs must have one length: input.cut = 'window', or max_frames")


def fit_together(
    recipe: Recipe, tasks: Sequence[Task], workers: int = 1, tell: Callable[[str], None] = print
) -> None:
    """Fit all ``tasks``, which are folds and seeds of ``recipe``, and leave a run in the folder of each.

    Finished ones are left alone. ``workers`` processes make the batches. Raises ConfigError by :func:`check`.
    """
    check(recipe)
    tasks = [task for task in tasks if not (Path(task.folder) / "run.json").is_file()]
    if not tasks:
        return
    begun = time.process_time()
    extractor = Extractor(recipe, Path(tasks[0].root))
    folders = [
        begin(Path(task.folder), recipe, task.train, task.held_out, task.seed, task.command) for task in tasks
    ]
    size = recipe.fit.batch_size
    layout = _layout(recipe, extractor, max(-(-len(task.train) // size) for task in tasks), len(tasks))
    model, optimizer, state = _lanes(recipe, extractor, layout.steps, [task.seed for task in tasks])
    epoch = _epoch(model, optimizer, recipe)
    with _Batches(recipe, tasks, layout, workers) as batches:
        for number, arrays in enumerate(batches, start=1):
            state, loss = epoch(state, arrays)
            tell(f"epoch {number}/{recipe.fit.epochs} loss {float(np.mean(np.asarray(loss))):.3g}")
        normalises = batches.normalises()
    values = [[np.asarray(each) for each in part] for part in state]
    for lane, (task, work, normalise) in enumerate(zip(tasks, folders, normalises, strict=True)):
        _assign(model, optimizer, values, lane)
        predictor = Predictor(recipe, extractor, normalise, task.held_out) if task.held_out else None
        scores = predictor.scores(model) if predictor else np.empty((0, len(recipe.data.labels)))
        spent = (time.process_time() - begun) / len(tasks)  # not of the processes that made batches
        finish(work, Path(task.folder), model, recipe, extractor, normalise, task.held_out, scores, spent)


def _layout(recipe: Recipe, extractor: Extractor, steps: int, lanes: int) -> Layout:
    size, classes = recipe.fit.batch_size, len(classes_of(recipe))
    frames = extractor.frames or recipe.input.max_frames
    shapes: dict[str, tuple[int, ...]] = {"inputs": (size, frames, extractor.n_features)}
    for head, width in {"emotion": classes, **head_widths(recipe)}.items():
        shapes |= {f"target {head}": (size, width), f"weight {head}": (size,)}
    return Layout(steps, lanes, shapes)


def _lanes(recipe: Recipe, extractor: Extractor, steps: int, seeds: Sequence[int]) -> tuple[Any, Any, State]:
    """A model, its optimiser, and the variables of a fresh one for each seed, stacked."""
    import keras

    shape = Shape(extractor.frames, extractor.n_features, len(classes_of(recipe)), head_widths(recipe))
    fresh: dict[int, list[list[Any]]] = {}
    for seed in dict.fromkeys(seeds):
        keras.utils.clear_session()
        model = build_model(recipe.model, shape, seed)
        optimizer = make_optimizer(recipe.optimizer, recipe.fit.epochs, steps)
        optimizer.build(model.trainable_variables)
        fresh[seed] = [[np.array(each) for each in part] for part in _parts(model, optimizer)]
    stacked = [
        [np.stack([fresh[seed][part][place] for seed in seeds]) for place in range(len(values))]
        for part, values in enumerate(fresh[seeds[0]])
    ]
    return model, optimizer, (stacked[0], stacked[1], stacked[2])


def _parts(model: Any, optimizer: Any) -> tuple[list[Any], list[Any], list[Any]]:
    return model.trainable_variables, model.non_trainable_variables, optimizer.variables


def _epoch(
    model: Any, optimizer: Any, recipe: Recipe
) -> Callable[[State, dict[str, Any]], tuple[State, Any]]:
    """An epoch of all lanes, compiled: (state, arrays of a :class:`Layout`) -> (state, losses)."""
    import jax

    of_heads = losses(recipe)

    def loss(trainable: Any, other: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
        outputs, other, penalties = model.stateless_call(
            trainable, other, batch["inputs"], training=True, return_losses=True
        )
        said = outputs if isinstance(outputs, dict) else {"emotion": outputs}
        total = sum(penalties)
        for head, (of_head, weight) in of_heads.items():
            of_batch = of_head(batch[f"target {head}"], said[head], sample_weight=batch[f"weight {head}"])
            total = total + weight * of_batch
        return total, other

    def step(state: State, batch: dict[str, Any]) -> tuple[State, Any]:
        trainable, other, moments = state
        (value, other), slopes = jax.value_and_grad(loss, has_aux=True)(trainable, other, batch)
        trainable, moments = optimizer.stateless_apply(moments, slopes, trainable)
        return (trainable, other, moments), value

    def epoch(state: State, arrays: dict[str, Any]) -> tuple[State, Any]:
        return jax.lax.scan(jax.vmap(step), state, arrays)  # type: ignore[no-any-return]

    return jax.jit(epoch, donate_argnums=0)  # type: ignore[no-any-return]


def _assign(model: Any, optimizer: Any, values: Sequence[Sequence[NDArray[Any]]], lane: int) -> None:
    """Put a lane's final weights, averaged where the optimiser averages, into ``model``."""
    for variables, arrays in zip(_parts(model, optimizer), values, strict=True):
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array[lane])
    optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:  # not the average's own memory, which asking gives away
        variable.assign(np.array(variable))


class _Batches:
    """The epochs of all lanes one after the other, made by processes into shared memory, one ahead."""

    def __init__(self, recipe: Recipe, tasks: Sequence[Task], layout: Layout, workers: int) -> None:
        self.layout, self.epochs = layout, recipe.fit.epochs
        self.memories = [SharedMemory(create=True, size=layout.nbytes) for _ in range(2)]
        context = multiprocessing.get_context("spawn")
        count = min(workers, len(tasks))
        self.lanes = [list(range(first, len(tasks), count)) for first in range(count)]
        self.pools = [
            ProcessPoolExecutor(1, context, _begin, (recipe.as_dict(), [tasks[lane] for lane in lanes]))
            for lanes in self.lanes
        ]
        given = os.environ.get("JAX_PLATFORMS")
        os.environ["JAX_PLATFORMS"] = "cpu"  # a process starts when it is first asked; the GPU is ours
        self.waiting = self._order(0)
        if given is None:
            del os.environ["JAX_PLATFORMS"]
        else:
            os.environ["JAX_PLATFORMS"] = given

    def __enter__(self) -> _Batches:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self.pools:
            pool.shutdown(cancel_futures=True)
        for memory in self.memories:
            memory.close()
            memory.unlink()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import jax

        for epoch in range(self.epochs):
            for future in self.waiting:
                future.result()
            if epoch + 1 < self.epochs:
                self.waiting = self._order(epoch + 1)
            # A copy of its own: the memory is written again two epochs on, whatever the device reads by then.
            views = self.layout.views(self.memories[epoch % 2])
            yield {name: jax.device_put(np.array(view)) for name, view in views.items()}

    def _order(self, epoch: int) -> list[Future[None]]:
        name = self.memories[epoch % 2].name
        return [
            pool.submit(_fill, self.layout, lanes, epoch, name)
            for pool, lanes in zip(self.pools, self.lanes, strict=True)
        ]

    def normalises(self) -> list[Any]:
        """Each lane's mean and standard deviation of the features."""
        found = [pool.submit(_normalises).result() for pool in self.pools]
        by_lane = {
            lane: each
            for lanes, those in zip(self.lanes, found, strict=True)
            for lane, each in zip(lanes, those, strict=True)
        }
        return [by_lane[lane] for lane in range(len(by_lane))]


_sets: list[TrainingSet] = []  # of a worker


class _Remembering(Extractor):
    """Lanes of a worker hold the same arrays of the same recordings."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.known: dict[Any, NDArray[np.float32]] = {}

    def cached(self, utterance: Any, what: str, delay_samples: int = 0) -> NDArray[np.float32]:
        key = utterance.path, what, delay_samples
        if key not in self.known:
            self.known[key] = super().cached(*(utterance, what, delay_samples))
        return self.known[key]

    def rendered(self, utterance: Any, augmentations: Sequence[Any], index: int) -> NDArray[np.float32]:
        key = utterance.path, index
        if key not in self.known:
            self.known[key] = super().rendered(utterance, augmentations, index)
        return self.known[key]


def _begin(recipe: dict[str, Any], tasks: Sequence[Task]) -> None:
    end_with_parent()
    resolved = recipe_from_dict(recipe, recipe["name"])
    extractor = _Remembering(resolved, Path(tasks[0].root))
    _sets.extend(TrainingSet(resolved, extractor, task.train, task.seed) for task in tasks)


def _fill(layout: Layout, lanes: Sequence[int], epoch: int, name: str) -> None:
    memory = SharedMemory(name)
    views = layout.views(memory)
    for lane, data in zip(lanes, _sets, strict=True):
        for step, batch in enumerate(data.batches(epoch, layout.steps)):
            views["inputs"][step, lane] = 0.0
            views["inputs"][step, lane, :, : batch.inputs.shape[1]] = batch.inputs
            for head in batch.targets:
                views[f"target {head}"][step, lane] = batch.targets[head]
                views[f"weight {head}"][step, lane] = batch.weights[head]
    views.clear()
    memory.close()


def _normalises() -> list[Any]:
    return [data.normalise for data in _sets]
