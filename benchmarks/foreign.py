"""How the models that ship do with corpora that their training had nothing of, as they are.

python -m benchmarks.foreign [MODEL ...] [--every 2] [-o docs/results/foreign.json]

Every N-th recording of each foreign corpus that is angry, happy, neutral or sad; the answer is the
strongest of these four. A model of all six corpora has no foreign one here: what it does with strangers is
measured on models like it, by python -m convert strangers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nonspeech import CORPORA
from convert.cross import hear
from convert.evaluate import stamp
from edge_ser.classifier import Classifier
from edge_ser.model import shipped_models
from train.corpora import corpora_root
from train.dataset import true_labels
from train.metrics import confusion, uar
from train.recipe import load_recipe
from train.selection import select

RESULT = Path(__file__).parents[1] / "docs" / "results" / "foreign.json"
LABELS = ["anger", "happiness", "neutral", "sadness"]


def measure(name: str, every: int) -> dict[str, Any] | None:
    """UAR by foreign corpus and their mean; None where there is no foreign corpus or a label is missing."""
    classifier = Classifier(name)
    known = {each["name"] for each in classifier.model.record["training"]["corpora"]}
    foreign = [corpus for corpus in CORPORA if corpus not in known]
    if not foreign or not set(LABELS) <= set(classifier.labels):
        return None
    places = [classifier.labels.index(label) for label in LABELS]
    corpora = {}
    for corpus in foreign:
        overrides = [f"data.corpora=['{corpus}']", f"data.labels={LABELS}"]
        utterances = select(load_recipe("multi-cnn", overrides).data, corpora_root()).utterances[::every]
        scores = np.array(
            [
                hear(classifier.classify(corpora_root() / each.path), classifier.labels, each.emotion)
                for each in utterances
            ]
        )
        said = scores[:, places].argmax(axis=1)
        corpora[corpus] = {
            "uar": uar(confusion(true_labels(LABELS, utterances), said, len(LABELS))),
            "utterances": len(utterances),
        }
        print(f"{name}: {corpus} {100 * corpora[corpus]['uar']:.1f} of {len(utterances)}", flush=True)
    return {"corpora": corpora, "mean": float(np.mean([each["uar"] for each in corpora.values()]))}


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--every", type=int, default=2, metavar="N")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    args = parser.parse_args()
    measured = {name: measure(name, args.every) for name in args.models or shipped_models()}
    record = {
        **stamp(["python", "-m", "benchmarks.foreign", *sys.argv[1:]]),
        "every": args.every,
        "models": {name: each for name, each in measured.items() if each},
    }
    args.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
