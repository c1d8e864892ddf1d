"""What it would be worth to a trained recipe to hear every window through other throats (``input.warps``).

``python benchmarks/warped_listening.py runs/cv-NAME`` asks every fold's model about the speakers it left out,
without warps and with them, as ``python -m train`` predicts. Nothing is trained or chosen. Prints UAR and WA,
and the gain with its 95 % interval over speakers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.backend import configure

DRAWS = 2000
Labels = NDArray[np.int64]


def fold_answers(folder: Path, root: Path, warps: Sequence[float]) -> tuple[Labels, list[str], list[Labels]]:
    """True labels [n], speakers [n] and what the fold's network says [n], plain and with ``warps``, of the
    utterances that it left out.
    """
    from train.dataset import Normalisation, true_labels
    from train.features import Extractor
    from train.models import load_model
    from train.predict import Predictor
    from train.recipe import recipe_from_dict
    from train.utterance import read_utterances

    run = json.loads((folder / "run.json").read_text())
    model = load_model(folder / "model.keras")
    normalise = Normalisation(*(np.array(run["input"][name], np.float32) for name in ("mean", "std")))
    utterances = read_utterances(folder / "held_out.csv")
    said = []
    for heard in ([], list(warps)):
        tree = run["recipe"] | {"input": run["recipe"]["input"] | {"warps": heard}}
        recipe = recipe_from_dict(tree, folder.name)
        recipe = replace(recipe, fit=replace(recipe.fit, test_time_shifts=0))  # as the device does
        predictor = Predictor(recipe, Extractor(recipe, root), normalise, utterances)
        said.append(predictor.scores(model).argmax(axis=1))
    return true_labels(recipe.data.labels, utterances), [each.speaker_id for each in utterances], said


def uar(truth: Labels, said: Labels) -> float:
    """The mean over classes of the share of the class that is named right."""
    return float(np.mean([(said[truth == each] == each).mean() for each in np.unique(truth)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of python -m train cv")
    parser.add_argument(
        "--warps", type=float, nargs="+", default=[-0.06, 0.06], metavar="X", help="log factors (-0.06 0.06)"
    )
    options = parser.parse_args()
    configure()
    from train.corpora import corpora_root

    folds = sorted(path.parent for path in options.folder.glob("fold-*/run.json"))
    parts = [fold_answers(each, corpora_root(), options.warps) for each in folds]
    truth = np.concatenate([each[0] for each in parts])
    speakers = np.array([name for each in parts for name in each[1]])
    plain, warped = (np.concatenate([each[2][way] for each in parts]) for way in (0, 1))
    names = np.unique(speakers)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(DRAWS):
        drawn = np.concatenate([np.flatnonzero(speakers == each) for each in rng.choice(names, len(names))])
        gains.append(uar(truth[drawn], warped[drawn]) - uar(truth[drawn], plain[drawn]))
    low, high = np.percentile(gains, [2.5, 97.5])
    print(f"{len(folds)} folds, {len(truth)} utterances, warps {options.warps}")
    print(f"plain   UAR {uar(truth, plain):.4f}  WA {np.mean(plain == truth):.4f}")
    print(f"warped  UAR {uar(truth, warped):.4f}  WA {np.mean(warped == truth):.4f}")
    print(f"gain in UAR, 95 % over speakers: {low:+.4f} to {high:+.4f}")


if __name__ == "__main__":
    main()
