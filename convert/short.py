"""How much an answer is worth when little speech was heard: the folds of a cross-validation hear pieces of
their held-out recordings, from a tenth of a second to two, as a device does.

A temperature that fits whole recordings is far too low for a syllable, which a network for a window hears
again and again. Of ``s`` seconds that sound, logits keep (s / full_s) ** exponent of their size
(edge_ser/short.py); both numbers are those with the greatest likelihood of the true labels, every length
weighing alike. The rows say what that gives people (of strangers: corpora) whom it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.confidence import calibration_of
from convert.robustness import folds_of, int8_of
from convert.run import read_run
from edge_ser.audio import read_audio
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from edge_ser.onset import CHUNK_S, QUIET_DB, Float32, chunk_powers
from edge_ser.short import Shortness, sounding_s
from train.arrays import Labels
from train.predict import softmax

LENGTHS_S = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)
CURVES = [
    Shortness(full_s, round(exponent, 2))
    for full_s in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
    for exponent in np.arange(0.0, 1.51, 0.05)
]
Float = NDArray[np.float64]


class Pieces:
    """What was heard of each piece: ``length`` its place in LENGTHS_S, ``heard_s`` seconds that sound,
    ``logits`` [n, labels] (but for a constant each), ``true`` label and ``group`` that is left out together.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, Float, int, str]] = []
        self.refused = np.zeros(len(LENGTHS_S), int)

    def add(self, classifier: Classifier, samples: Float32, true: int, group: str) -> None:
        """Hear the middle of a recording's sound, at each length that it has."""
        sound, rate_hz = _sound(samples, classifier.model.rate_hz), classifier.model.rate_hz
        for place, length_s in enumerate(LENGTHS_S):
            n = round(length_s * rate_hz)
            if n > len(sound):
                return
            first = (len(sound) - n) // 2
            piece = sound[first : first + n]
            scores = classifier.classify(piece, rate_hz).scores
            if not scores:
                self.refused[place] += 1
                continue
            logits = np.log(np.maximum([scores[each] for each in classifier.labels], 1e-12))
            self._rows.append((place, sounding_s(piece, rate_hz), logits, true, group))

    def gather(self) -> None:
        """Arrays of what was added."""
        if not self._rows:
            raise ModelError("no speech was heard in the held-out recordings")
        lengths, heard_s, logits, true, groups = zip(*self._rows, strict=True)
        self.length: Labels = np.array(lengths)
        self.heard_s: Float = np.array(heard_s)
        self.logits: Float = np.stack(logits)
        self.true: Labels = np.array(true)
        self.group = np.array(groups)


def measure_short(
    folders: Sequence[Path],
    evaluation: Mapping[str, Any],
    root: Path,
    every: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The curve and its rows, of every ``every``-th held-out recording; ``folders`` as for robustness.

    Temperature and threshold are those of the ``evaluation``.
    """
    calibration = calibration_of(evaluation)
    if "temperature" not in calibration:
        raise ModelError("the evaluation has no temperature; run python -m convert cv or strangers first")
    runs, protocol = folds_of(folders)
    pieces, seeds = Pieces(), set()
    by_corpus = calibration.get("apart") == "corpus"
    for folder in runs:
        classifier, run = int8_of(folder), read_run(folder)
        seeds.add(run.record["seed"])
        for utterance in run.held_out[::every]:
            samples = read_audio(root / utterance.path, classifier.model.rate_hz)[0]
            true = run.labels.index(utterance.emotion)
            pieces.add(classifier, samples, true, utterance.corpus if by_corpus else utterance.speaker_id)
        tell(f"{folder.name}: {len(run.held_out[::every])} recordings")
    pieces.gather()
    pieces.logits /= calibration["temperature"]
    curve, shares = fit(pieces)
    return {
        "protocol": protocol,
        "seeds": sorted(seeds),
        "folds": len(runs),
        "every": every,
        "apart": "corpus" if by_corpus else "speaker",
        "full_s": curve.full_s,
        "exponent": curve.exponent,
        "rows": [
            _row(pieces, shares, place, calibration["abstain_below"])
            for place in range(len(LENGTHS_S))
            if (pieces.length == place).any()
        ],
    }


def fit(pieces: Pieces) -> tuple[Shortness, Float]:
    """The most likely curve, and what is left of each piece's logits [n] by the one that is the most likely
    of all others' pieces (of the same one where nobody else is).
    """
    count = np.bincount(pieces.length, minlength=len(LENGTHS_S))
    weight = 1.0 / count[pieces.length]
    shares = np.array([[curve.share(heard_s) for heard_s in pieces.heard_s] for curve in CURVES])
    likelihood = np.array([weight * _log_likelihood(share, pieces) for share in shares])
    total = likelihood.sum(axis=1)
    apart = np.empty(len(pieces.true))
    groups = np.unique(pieces.group)
    for group in groups:
        own = pieces.group == group
        of_others = total - likelihood[:, own].sum(axis=1) if len(groups) > 1 else total
        apart[own] = shares[int(of_others.argmax()), own]
    return CURVES[int(total.argmax())], apart


def _log_likelihood(share: Float, pieces: Pieces) -> Float:
    probabilities = softmax(share[:, None] * pieces.logits)
    return np.asarray(np.log(np.maximum(probabilities[np.arange(len(share)), pieces.true], 1e-12)))


def _row(pieces: Pieces, shares: Float, place: int, abstain_below: float) -> dict[str, Any]:
    of_length = pieces.length == place
    right = pieces.logits[of_length].argmax(axis=1) == pieces.true[of_length]
    row: dict[str, Any] = {
        "length_s": LENGTHS_S[place],
        "pieces": int(of_length.sum()),
        "refused": int(pieces.refused[place]),
        "right": float(right.mean()),
    }
    for name, share in (("before", np.ones(of_length.sum())), ("after", shares[of_length])):
        said = softmax(share[:, None] * pieces.logits[of_length]).max(axis=1)
        answered = said >= abstain_below
        row[name] = {
            "said": float(said.mean()),
            "answered": float(answered.mean()),
            "right_of_answers": float(right[answered].mean()) if answered.any() else None,
        }
    return row


def _sound(samples: Float32, rate_hz: int) -> Float32:
    """From the first chunk that sounds to the last."""
    chunk = round(CHUNK_S * rate_hz)
    power = chunk_powers(samples[: len(samples) // chunk * chunk], chunk)
    sounding = np.flatnonzero(power >= power.max(initial=0.0) * np.float32(10 ** (-QUIET_DB / 10)))
    return samples[sounding[0] * chunk : (sounding[-1] + 1) * chunk] if len(sounding) else samples[:0]
