"""What it would be worth to hear every window through three throats: plain, shorter, longer.

``python benchmarks/warped_listening.py runs/cv-NAME`` asks every fold's model about the speakers it left out,
with the cepstra as they are and with the frequency axis stretched by exp(-x) and exp(x)
(train/augment/cepstra.py), and averages the probabilities. Nothing is trained or chosen. Prints UAR and WA,
and the gain with its 95 % interval over speakers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.backend import configure

STEPS = (-2, 0, 2)  # multiples of train.augment.cepstra.STEP
DRAWS = 2000


def fold_scores(folder: Path, root: Path) -> tuple[NDArray[np.int64], list[str], NDArray[np.float64]]:
    """True labels [n], speakers [n] and probabilities [steps, n, classes] of the speakers a fold left out."""
    from train.augment.cepstra import warp_matrix
    from train.dataset import true_labels
    from train.features import Extractor
    from train.models import load_model
    from train.predict import softmax
    from train.recipe import recipe_from_dict
    from train.utterance import read_utterances

    run = json.loads((folder / "run.json").read_text())
    recipe = recipe_from_dict(run["recipe"], folder.name)
    extractor = Extractor(recipe, root)
    utterances = read_utterances(folder / "held_out.csv")
    model = load_model(folder / "model.keras")
    mean, std = (np.array(run["input"][name], np.float32) for name in ("mean", "std"))
    windows = [extractor.cached(each, "windows") for each in utterances]
    owners = np.repeat(np.arange(len(windows)), [len(each) for each in windows])
    features = np.concatenate(windows)
    options = extractor.options
    scores = []
    for step in STEPS:
        warped = features @ warp_matrix(step, options.n_mfcc, options.n_mels, options.high_hz)
        outputs: Any = model.predict((warped - mean) / std, batch_size=64, verbose=0)
        logits = np.asarray(outputs["emotion"] if isinstance(outputs, dict) else outputs)
        total = np.zeros((len(windows), logits.shape[1]))
        np.add.at(total, owners, softmax(logits))
        scores.append(total / total.sum(axis=1, keepdims=True))
    labels = true_labels(recipe.data.labels, utterances)
    return labels, [each.speaker_id for each in utterances], np.stack(scores)


def uar(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """The mean over classes of the share of the class that is named right."""
    return float(np.mean([(said[truth == each] == each).mean() for each in np.unique(truth)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of python -m train cv")
    options = parser.parse_args()
    configure()
    from train.corpora import corpora_root

    folds = sorted(path.parent for path in options.folder.glob("fold-*/run.json"))
    parts = [fold_scores(each, corpora_root()) for each in folds]
    truth = np.concatenate([each[0] for each in parts])
    speakers = np.array([name for each in parts for name in each[1]])
    scores = np.concatenate([each[2] for each in parts], axis=1)
    plain, averaged = scores[STEPS.index(0)].argmax(axis=1), scores.mean(axis=0).argmax(axis=1)
    names = np.unique(speakers)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(DRAWS):
        drawn = np.concatenate([np.flatnonzero(speakers == each) for each in rng.choice(names, len(names))])
        gains.append(uar(truth[drawn], averaged[drawn]) - uar(truth[drawn], plain[drawn]))
    low, high = np.percentile(gains, [2.5, 97.5])
    print(f"{len(folds)} folds, {len(truth)} utterances")
    print(f"plain     UAR {uar(truth, plain):.4f}  WA {np.mean(plain == truth):.4f}")
    print(f"averaged  UAR {uar(truth, averaged):.4f}  WA {np.mean(averaged == truth):.4f}")
    print(f"gain in UAR, 95 % over speakers: {low:+.4f} to {high:+.4f}")


if __name__ == "__main__":
    main()
