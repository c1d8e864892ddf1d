"""How well a recipe's models hold out: the folds of a cross-validation hear their own held-out speakers under
each perturbation (convert/perturb.py), float and int8, through the product's own chain.

An int8 answer of "no speech" counts as wrong, and how many there are is told.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cross import INT8, hear, read_cv
from convert.data import Source, in_chunks
from convert.ir import Float
from convert.parity import float_logits, utterance_scores
from convert.perturb import LENGTH_OF, PERTURBATIONS, PLAIN, RATE_HZ, WORST, wav
from convert.run import Run, read_run
from edge_ser.audio import read_audio
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from train.arrays import Labels, Samples
from train.dataset import true_labels
from train.metrics import bootstrap_interval, confusion, uar
from train.utterance import Utterance
from train.vad import BLOCK_S, speech_blocks

Row = dict[str, Any]


def measure_folds(
    folders: Sequence[Path], root: Path, every: int, most: int | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The table over every ``every``-th held-out utterance of the first ``most`` folds (None: of all).

    ``folders``: one cross-validation that ``python -m convert cv`` has converted, or runs of ``train cross``
    that ``python -m convert strangers`` has.
    """
    runs, protocol = folds_of(folders)
    runs = runs[:most]
    true: list[Labels] = []
    speakers: list[str] = []
    floats: dict[str, list[Labels]] = {name: [] for name in PERTURBATIONS}
    ints: dict[str, list[Labels]] = {name: [] for name in PERTURBATIONS}
    refused = dict.fromkeys(PERTURBATIONS, 0)
    seeds = set()
    for folder in runs:
        classifier = int8_of(folder)
        fold = Fold(read_run(folder), classifier, root, every)
        seeds.add(fold.run.record["seed"])
        true.append(true_labels(fold.run.labels, fold.chosen))
        speakers += [each.speaker_id for each in fold.chosen]
        for perturbation in PERTURBATIONS:
            by_float, by_int, lost = fold.hear(perturbation)
            floats[perturbation].append(by_float)
            ints[perturbation].append(by_int)
            refused[perturbation] += lost
        tell(f"{folder.name}: {len(fold.chosen)} utterances under {len(PERTURBATIONS)} conditions")
    truth, n_classes = np.concatenate(true), len(fold.run.labels)
    rows = [
        _row(name, truth, np.concatenate(floats[name]), np.concatenate(ints[name]), speakers, n_classes)
        | {"refused": refused[name] / len(truth)}
        for name in PERTURBATIONS
    ]
    return {
        "protocol": protocol,
        "seeds": sorted(seeds),
        "folds": len(runs),
        "every": every,
        "utterances": len(truth),
        "speakers": len(set(speakers)),
        **verdict(rows, n_classes),
        "rows": rows,
    }


def folds_of(folders: Sequence[Path]) -> tuple[list[Path], str]:
    """The runs, and how they were split."""
    if not (folders[0] / "run.json").is_file():
        if len(folders) > 1:
            raise ModelError(f"{folders[1]}: one cross-validation at a time, or runs of train cross alone")
        cv = read_cv(folders[0])
        return [folders[0] / fold["folder"] for fold in cv["folds"]], cv["protocol"]
    labels = {tuple(read_run(folder).labels) for folder in folders}
    if len(labels) > 1:
        raise ModelError("the runs have different labels; give those of one recipe")
    return list(folders), "each corpus heard by a model of the others (unseen corpora)"


def int8_of(folder: Path) -> Classifier:
    """The model file that convert cv, or strangers, has left beside a fold's run."""
    path = folder / INT8
    if not path.is_file():
        raise ModelError(f"{path}: no such file; run python -m convert cv or strangers first")
    return Classifier(str(path))


def verdict(rows: Sequence[Row], n_classes: int) -> dict[str, Any]:
    """What the rule says: nothing short of noise at 0 dB may halve what is above chance."""
    chance = 1 / n_classes
    limits = {
        kind: chance + (next(row[kind] for row in rows if row["what"] == PLAIN) - chance) / 2
        for kind in ("float", "int8")
    }
    halved = [row["what"] for row in rows if row["what"] != WORST and row["int8"] < limits["int8"]]
    return {"chance": chance, "limit": limits, "halved": halved}


class Fold:
    """One fold's float and int8 model, and some of the utterances that it left out."""

    def __init__(self, run: Run, classifier: Classifier, root: Path, every: int) -> None:
        self.run, self.classifier, self.root = run, classifier, root
        self.model = run.load_model()
        model = classifier.model
        self.source = Source(run, root, repeat_to_s=model.repeat_to_s, lead_s=model.lead_s)
        self.repeat_frames = classifier.model.repeat_chunks * classifier.model.frames
        self.chosen = run.held_out[::every]

    def hear(self, perturbation: str) -> tuple[Labels, Labels, int]:
        """What the float and the int8 model take the chosen utterances for, and how many are "no speech"."""
        inputs: list[Float] = []
        owners: list[int] = []
        scores, lost = [], 0
        for place, utterance in enumerate(self.chosen):
            file = wav(*self.perturbed(utterance, perturbation))
            prediction = self.classifier.classify(file)
            lost += not prediction.scores
            scores.append(hear(prediction, self.run.labels, utterance.emotion))
            file.seek(0)
            samples, _ = read_audio(file, self.source.extractor.rate_hz)
            for window in self.source.extractor.windows(samples):
                features = ((window - self.source.mean) / self.source.std).astype(np.float32)
                inputs.append(self._as_heard(features))
                owners.append(place)
        logits = self.source.hearings.mean(lambda heard: float_logits(self.model, heard), inputs)
        by_float = utterance_scores(logits[:, : len(self.run.labels)], np.array(owners)).argmax(axis=1)
        return by_float, np.array(scores).argmax(axis=1), lost

    def _as_heard(self, features: Float) -> Float:
        model = self.classifier.model
        return in_chunks(features, model.frames, self.repeat_frames) if self.run.step else features

    def perturbed(self, utterance: Utterance, perturbation: str) -> tuple[Samples, int]:
        """What happened to the utterance; the same each time, and for every model."""
        rng = np.random.default_rng(zlib.crc32(f"{perturbation} {utterance.path}".encode()))
        samples, _ = read_audio(self.root / utterance.path, RATE_HZ)
        if perturbation in LENGTH_OF:
            samples = self._joined(utterance, samples, LENGTH_OF[perturbation])
        return PERTURBATIONS[perturbation](samples, rng)

    def _joined(self, utterance: Utterance, samples: Samples, seconds: float) -> Samples:
        """``seconds`` from where the utterance's speech begins; others of that voice and emotion follow
        where it is shorter.
        """
        n_samples = round(seconds * RATE_HZ)
        samples = from_first_speech(samples)
        alike = [
            each
            for each in self.run.held_out
            if (each.speaker_id, each.emotion) == (utterance.speaker_id, utterance.emotion)
        ]
        parts, total, place = [samples], len(samples), alike.index(utterance)
        while total < n_samples:
            place = (place + 1) % len(alike)
            parts.append(from_first_speech(read_audio(self.root / alike[place].path, RATE_HZ)[0]))
            total += len(parts[-1])
        return np.concatenate(parts)[:n_samples]


def from_first_speech(samples: Samples) -> Samples:
    """Without the silence before anything is said, of which some corpora have more than a second."""
    first = int(np.argmax(speech_blocks(samples, RATE_HZ)))
    return samples[round(first * BLOCK_S * RATE_HZ) :]


def _row(
    name: str, true: Labels, by_float: Labels, by_int: Labels, speakers: Sequence[str], n_classes: int
) -> Row:
    def recall(said: Labels) -> float:
        counts: NDArray[np.int64] = confusion(true, said, n_classes)
        return uar(counts)

    return {
        "what": name,
        "float": recall(by_float),
        "int8": recall(by_int),
        "interval": bootstrap_interval(true, by_int, speakers, n_classes, uar),
    }
