"""What in an utterance a network went by: occlusion for any network, attention weights where it has some."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from edge_ser.frontend import Frontend
from train.corpora import corpora_root
from train.dataset import Normalisation
from train.features import Extractor
from train.models import load_model
from train.predict import read_scores, softmax
from train.recipe import recipe_from_dict
from train.utterance import read_utterances

STRETCHES = 24


@dataclass(frozen=True)
class Explanation:
    """One utterance: its spectrogram [frames, bands], and what each stretch of the first window was worth."""

    note: str
    log_mel: NDArray[np.float32]
    hop_s: float
    duration_s: float
    importance: NDArray[np.float64]
    attention: NDArray[np.float64] | None


def explanations(run: Path, count: int = 3) -> Iterator[Explanation]:
    """Explain the surest right decision of a run, its surest wrong one, and its least sure; none
    without recordings.
    """
    if not (run / "model.keras").is_file():
        return
    described = json.loads((run / "run.json").read_text(encoding="utf-8"))
    recipe = recipe_from_dict(described["recipe"], run.name)
    if recipe.input.cut == "segment":
        return  # its inputs are fractions of a second
    try:
        extractor = Extractor(recipe, corpora_root())
    except ConfigError:
        return
    utterances = read_utterances(run / "held_out.csv")
    scores = read_scores(run / "predictions.csv")
    if not utterances or not (extractor.root / utterances[0].path).is_file():
        return
    model = load_model(run / "model.keras")
    normalise = Normalisation(*(np.array(described["input"][key], np.float32) for key in ("mean", "std")))
    labels = recipe.data.labels
    right = scores.argmax(axis=1) == [labels.index(each.emotion) for each in utterances]
    sureness = scores.max(axis=1)
    wanted = [np.argmax(sureness * right), np.argmax(sureness * ~right), np.argmin(sureness)][:count]
    for index in dict.fromkeys(int(each) for each in wanted):
        utterance, best = utterances[index], int(scores[index].argmax())
        samples = extractor.samples(utterance)
        features = normalise(extractor.windows(samples)[0])
        options = replace(
            extractor.options, feature="log_mel", n_mels=40, normalize="none", deltas=0, energy="none"
        )
        view = samples[: extractor.window_samples] if recipe.input.cut == "window" else samples
        verdict = "right" if right[index] else f"in truth {utterance.emotion}"
        yield Explanation(
            f"{Path(utterance.path).stem}: {labels[best]} {scores[index, best]:.2f}, {verdict}",
            np.asarray(Frontend(options).process(view)),
            options.hop_ms / 1000.0,
            len(features) * options.hop_ms / 1000.0,
            occlusion(model, features, best),
            attention(model, features),
        )


def _emotion(model: Any, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    outputs = model.predict_on_batch(inputs)
    return softmax(np.asarray(outputs["emotion"] if isinstance(outputs, dict) else outputs))


def occlusion(model: Any, features: NDArray[np.float32], label: int) -> NDArray[np.float64]:
    """How much the probability of ``label`` falls when a stretch of time is replaced by the training mean.

    [STRETCHES]; after Zeiler & Fergus, ECCV 2014.
    """
    edges = np.linspace(0, len(features), STRETCHES + 1).round().astype(int)
    variants = np.repeat(features[None], STRETCHES + 1, axis=0)
    for index in range(STRETCHES):
        variants[index + 1, edges[index] : edges[index + 1]] = 0.0
    probabilities = _emotion(model, variants)[:, label]
    return np.asarray(probabilities[0] - probabilities[1:])


def attention(model: Any, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """The weights [steps] of the model's layer "attention" for one input; None when it has no such layer."""
    import keras

    if "attention" not in {layer.name for layer in model.layers}:
        return None
    layer = model.get_layer("attention")
    before = keras.Model(model.input, layer.input[0] if isinstance(layer.input, list) else layer.input)
    values = before.predict_on_batch(features[None])
    return np.asarray(keras.ops.convert_to_numpy(layer.weights_of(values))[0], dtype=np.float64)
