"""openSMILE functionals and a linear SVM: the baseline that a network has to beat (extra ``opensmile``).

eGeMAPS: Eyben et al., IEEE Trans. Affective Computing 2016; ComParE 2016: Schuller et al., Interspeech 2016.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from train.arrays import Scores
from train.audio import read_audio
from train.predict import softmax
from train.recipe import Recipe, frontend_options
from train.run_folder import begin, finish_scored
from train.utterance import Utterance

KIND = "svm"
FORM = "functionals"


@dataclass(frozen=True)
class Options:
    """``c`` is the SVM's; features are standardised by the training data, classes weighed alike."""

    features: Literal["eGeMAPSv02", "ComParE_2016"] = "ComParE_2016"
    c: float = 0.01


def fit(
    recipe: Recipe,
    train: Sequence[Utterance],
    held_out: Sequence[Utterance],
    root: Path,
    folder: Path,
    seed: int = 0,
    command: str = "",
    quiet: bool = False,
) -> None:
    """Train the SVM on ``train`` and score ``held_out``; the run holds figures and predictions, but
    no model.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    options = Options(**recipe.model.options)
    work = begin(folder, recipe, train, held_out, seed, command)
    rate_hz = frontend_options(recipe).rate_hz
    svm = make_pipeline(StandardScaler(), SVC(kernel="linear", C=options.c, class_weight="balanced"))
    svm.fit(_functionals(options, train, root, rate_hz), [each.emotion for each in train])
    scores: Scores = np.empty((0, len(recipe.data.labels)))
    if held_out:
        margins = svm.decision_function(_functionals(options, held_out, root, rate_hz))
        if margins.ndim == 1:  # two classes: one margin, of the second
            margins = np.stack([-margins, margins], axis=1)
        scores = np.zeros((len(held_out), len(recipe.data.labels)))
        scores[:, [recipe.data.labels.index(label) for label in svm.classes_]] = softmax(margins)
    description = {"model": {"kind": KIND, "form": FORM, "architecture": recipe.model.architecture}}
    finish_scored(work, folder, recipe, held_out, scores, description)


def _functionals(
    options: Options, utterances: Sequence[Utterance], root: Path, rate_hz: int
) -> NDArray[np.float32]:
    return np.stack([_of_recording(options.features, root / each.path, rate_hz) for each in utterances])


def _of_recording(features: str, path: Path, rate_hz: int) -> NDArray[np.float32]:
    """The functionals of a recording, from the cache when its bytes, the set and openSMILE are the same."""
    from train.features import CACHE, store

    smile = _smile(features)
    version = importlib.metadata.version("opensmile")
    key = hashlib.sha256(path.read_bytes() + f"{features} {version} {rate_hz}".encode()).hexdigest()
    entry = CACHE / key[:2] / f"{key}.npy"
    if not entry.is_file():
        values = smile.process_signal(read_audio(path, rate_hz), rate_hz).to_numpy()[0]
        store(entry, np.nan_to_num(values).astype(np.float32))
    return np.asarray(np.load(entry, allow_pickle=False), dtype=np.float32)


@functools.cache
def _smile(features: str) -> Any:
    if "tensorflow" in sys.modules:
        raise ConfigError(
            "openSMILE crashes in a process that has loaded TensorFlow; run this recipe by itself"
        )
    try:
        import opensmile
    except ImportError:
        raise ConfigError("this baseline needs openSMILE: pip install 'edge-ser[opensmile]'") from None
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[features], feature_level=opensmile.FeatureLevel.Functionals
    )
