"""Optimisers and losses of a recipe, in Keras."""

from __future__ import annotations

from typing import Any

import keras

from train.models import BRANCHES
from train.recipe import Optimizer, Recipe
from train.targets import DIMENSIONS


def learning_rate(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    """A number, or Keras's cosine decay over all ``epochs * steps`` steps with its linear warm-up.

    The warm-up takes half of a fit at most.
    """
    if optimizer.schedule == "constant":
        return optimizer.learning_rate
    warmup = min(optimizer.warmup_epochs * steps, epochs * steps // 2)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(optimizer.learning_rate, epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, epochs * steps - warmup, warmup_target=optimizer.learning_rate, warmup_steps=warmup
    )


def make_optimizer(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    """The Keras optimiser of a recipe's ``[optimizer]`` for a fit of ``epochs`` of ``steps``."""
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }
    options: dict[str, Any] = {"learning_rate": learning_rate(optimizer, epochs, steps)}
    if optimizer.weight_decay:
        options["weight_decay"] = optimizer.weight_decay
    if optimizer.clip_norm:
        options["global_clipnorm"] = optimizer.clip_norm
    if optimizer.ema_momentum:
        options |= {"use_ema": True, "ema_momentum": optimizer.ema_momentum}
    if optimizer.name == "sgd":
        options["momentum"] = 0.9
    made = kinds[optimizer.name](**options)
    if optimizer.name == "adamw":
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def losses(recipe: Recipe) -> dict[str, tuple[Any, float]]:
    """The loss of each head and its weight: together the loss is the sum over heads of weight times mean.

    Emotion (weight 1), its branches, gender and intensity: cross entropy, with label smoothing but for the
    last two. Dimensions: mean squared error. An example's own weight multiplies its loss; a mean is over the
    batch.
    """
    smoothing = recipe.fit.label_smoothing
    emotion = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    found: dict[str, tuple[Any, float]] = {"emotion": (emotion, 1.0)}
    for head, weight in recipe.model.heads.items():
        if head in BRANCHES:
            found[head] = emotion, weight
        elif head in DIMENSIONS:
            found[head] = keras.losses.MeanSquaredError(), weight
        else:
            found[head] = keras.losses.CategoricalCrossentropy(from_logits=True), weight
    return found


def compile_model(model: Any, recipe: Recipe, steps: int) -> None:
    """Give ``model`` its optimiser and the :func:`losses` of its heads."""
    of_heads = losses(recipe)
    model.compile(
        optimizer=make_optimizer(recipe.optimizer, recipe.fit.epochs, steps),
        loss={head: loss for head, (loss, _) in of_heads.items()}
        if recipe.model.heads
        else of_heads["emotion"][0],
        loss_weights={head: weight for head, (_, weight) in of_heads.items()} if recipe.model.heads else None,
        jit_compile=False,
    )
