"""Architectures by name; a new one is a file here and a line in ``ARCHITECTURES``.

A module of an architecture has

- ``KIND``: "cnn", "gru" … and ``FORM``: "window" (one window in, logits out) or "step" (its layers can be
  rewritten as a step with the state as input and output; the module says which layers);
- ``Options``: a frozen dataclass of what a recipe may choose under ``[model.options]``;
- ``build(shape, options)``: a functional Keras 3 model of standardised features [batch, frames, features] to
  logits [batch, classes] by a layer named "emotion". With ``shape.heads`` its outputs are a dict, head by
  head.

A module with a function ``fit`` is trained by that instead of train/fit.py (the baselines without Keras).
Models keep to ``keras`` and ``keras.ops``, so that any Keras backend can train them.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_ser.errors import ConfigError
from train.backend import configure
from train.naming import nearest

ARCHITECTURES = {
    "light_cnn": "train.models.light_cnn",
    "strided_cnn": "train.models.strided_cnn",
    "mfcc_cnn": "train.models.mfcc_cnn",
    "gru": "train.models.gru",
    "conv_gru": "train.models.conv_gru",
    "causal_cnn": "train.models.causal_cnn",
    "frame_rnn": "train.models.frame_rnn",
    "bilstm_attention": "train.models.bilstm_attention",
    "cnn_attention": "train.models.cnn_attention",
    "spectrogram_cnn2d": "train.models.spectrogram_cnn2d",
    "spectrogram_cnn1d": "train.models.spectrogram_cnn1d",
    "segment_dnn": "train.models.segment_dnn",
    "opensmile_svm": "train.models.opensmile_svm",
    "encoder_svm": "train.models.encoder_svm",
}
WITHOUT_KERAS = ("opensmile_svm",)  # openSMILE crashes in a process that has loaded TensorFlow
BRANCHES = ("convolutions", "statistics")  # heads that each learn the emotion by themselves
HEADS = ("gender", "intensity", "valence", "arousal", "dominance", *BRANCHES)


@dataclass(frozen=True)
class Shape:
    """What the data decide about a network: ``frames`` is None where the length varies."""

    frames: int | None
    features: int
    classes: int
    heads: dict[str, int] = field(default_factory=dict)  # further head -> its number of outputs


def architecture(name: str) -> ModuleType:
    """The module of architecture ``name``. Raises ConfigError naming the nearest."""
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ConfigError(f"no architecture {name!r}{nearest(name, ARCHITECTURES)} (there are: {known})")
    if name not in WITHOUT_KERAS:
        configure()
    return importlib.import_module(ARCHITECTURES[name])


def check_model(model: Any, where: str) -> None:
    """Raise ConfigError unless a recipe's ``[model]`` names an architecture, options and heads that exist."""
    from train.recipe import build_options

    module = architecture(model.architecture)
    build_options(module.Options, model.options, f"{where}: model.options")
    for head in model.heads:
        if head not in HEADS:
            raise ConfigError(f"{where}: model.heads: no head {head!r}{nearest(head, HEADS)}")


def build_model(model: Any, shape: Shape, seed: int = 0) -> Any:
    """Build the Keras model of a recipe's ``[model]`` section for data of ``shape``, its weights drawn by
    ``seed``.

    Keras draws the seeds of initialisers and dropout from Python's global generator, which other threads (a
    Dask worker's) use too; so each is written into the model's configuration instead, and the model made from
    that.
    """
    from train.recipe import build_options

    module = architecture(model.architecture)
    built = module.build(shape, build_options(module.Options, model.options, "model.options"))
    config = built.get_config()
    _write_seeds(config, itertools.count(1_000_003 * seed + 1))
    return type(built).from_config(config)


def _write_seeds(config: Any, seeds: Iterator[int]) -> None:
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "seed":
                config[key] = next(seeds)
            else:
                _write_seeds(value, seeds)
    elif isinstance(config, list | tuple):
        for value in config:
            _write_seeds(value, seeds)


def load_model(path: Path) -> Any:
    """Load a run's ``model.keras``, with the layers of this package."""
    import keras

    importlib.import_module("train.models.layers")
    return keras.models.load_model(path, compile=False)
