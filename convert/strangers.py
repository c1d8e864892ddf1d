"""How the models of ``python -m train cross`` do with the corpus that each was not trained on, int8, through
the product's own chain: as they are, and adapted to the stranger.

Adapted means statistics of up to half a minute of the same speaker's audio, whatever was felt in it, and none
of it among the test recordings: every speaker's recordings are dealt into two halves, and each half is heard
with what was learnt from the other. ``profile`` is what edge-ser enroll --any-mood does with that audio,
``adapt`` what --adapt has made of it by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.confidence import cross_fitted, fit_temperature, fit_threshold
from convert.cross import INT8, hear
from convert.parity import utterance_scores
from convert.pipeline import Settings, convert, model_bytes
from convert.run import read_run
from edge_ser.adaptation import Adaptation
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from edge_ser.frontend import Frontend
from edge_ser.model import Model
from edge_ser.profile import Profile
from train.arrays import Labels, Samples
from train.audio import read_audio
from train.dataset import true_labels
from train.metrics import bootstrap_draws, confusion, uar
from train.utterance import Utterance

ENROL_S = 30.0
CASES = ("plain", "profile", "adapt")


def measure_strangers(
    folders: Sequence[Path], settings: Settings, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The table of unseen corpora; several ``folders`` that test the same corpus are seeds of it."""
    heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
    labels: list[str] = []
    for folder in folders:
        conversion = convert(read_run(folder), settings)
        run = conversion.run
        labels = labels or run.labels
        corpora = sorted({each.corpus for each in run.held_out})
        if len(corpora) != 1 or labels != run.labels:
            raise ModelError(
                f"{folder}: give runs of train cross on one unseen corpus each, with equal labels"
            )
        path = folder / INT8
        path.write_bytes(model_bytes(conversion, "stranger")[0])
        said = hear_corpus(Model.load(path), run.held_out, settings.root, run.record["seed"])
        said["float"] = utterance_scores(conversion.logits.floats, conversion.inputs.owners).argmax(axis=1)
        true = true_labels(labels, run.held_out)
        heard[corpora[0]].append(
            {
                "said": said,
                "true": true,
                "utterances": run.held_out,
                "seed": run.record["seed"],
                "run": run,
                "logits": conversion.logits.ints,
                "owners": conversion.inputs.owners,
            }
        )
        n = len(labels)
        figures = ", ".join(f"{case} {100 * uar(confusion(true, said[case], n)):.1f}" for case in said)
        tell(f"{folder}: {corpora[0]}, UAR {figures}")
    return _table(heard, labels)


def hear_corpus(model: Model, utterances: Sequence[Utterance], root: Path, seed: int) -> dict[str, Labels]:
    """What each utterance is taken for in each of CASES."""
    sounds = [read_audio(root / each.path, model.rate_hz) for each in utterances]
    by_speaker: dict[str, list[int]] = defaultdict(list)
    for place, utterance in enumerate(utterances):
        by_speaker[utterance.speaker_id].append(place)
    plain = Classifier(model)
    adapted = Classifier(model)
    said = {case: np.zeros(len(utterances), np.int64) for case in CASES}

    def label(classifier: Classifier, place: int) -> int:
        answer = hear(classifier.classify(sounds[place]), classifier.labels, utterances[place].emotion)
        return int(np.argmax(answer))

    rng = np.random.default_rng(seed)
    for name in sorted(by_speaker):
        order = rng.permutation(by_speaker[name]).tolist()
        halves = order[::2], order[1::2]
        for own, other in (halves, halves[::-1]):
            enrolled = enrolment([sounds[place] for place in other], model.rate_hz)
            shifts = corrections(model, enrolled)
            for place in own:
                said["plain"][place] = label(plain, place)
                for case, shift in shifts.items():
                    adapted.engine.adapt(shift)
                    said[case][place] = label(adapted, place)
    return said


def enrolment(sounds: Sequence[Samples], rate_hz: int) -> list[Samples]:
    """As many of the recordings, in this order, as make up ENROL_S; the last is cut."""
    taken: list[Samples] = []
    left = round(ENROL_S * rate_hz)
    for sound in sounds:
        if left <= 0:
            break
        taken.append(sound[:left])
        left -= len(taken[-1])
    return taken


def corrections(model: Model, enrolled: Sequence[Samples]) -> dict[str, NDArray[np.float32]]:
    """What the product subtracts from each frame after it has heard ``enrolled``, by case."""
    if not enrolled:
        return {case: np.zeros(model.n_features, np.float32) for case in CASES if case != "plain"}
    frontend = Frontend(model.frontend)
    frames = np.concatenate([frontend.process(each) for each in enrolled])
    seconds = sum(map(len, enrolled)) / model.rate_hz
    profile = Profile(model.frontend.as_dict(), frames.mean(axis=0, dtype=np.float64), seconds, any_mood=True)
    follow = Adaptation(model)
    for each in enrolled:
        follow.hear(each)
    return {"profile": Adaptation(model, profile, learn=False).shift(), "adapt": follow.shift()}


def _table(heard: dict[str, list[dict[str, Any]]], labels: Sequence[str]) -> dict[str, Any]:
    n = len(labels)
    rows = []
    draws: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for corpus, runs in sorted(heard.items()):
        true = np.concatenate([each["true"] for each in runs])
        speakers = [utterance.speaker_id for each in runs for utterance in each["utterances"]]
        row: dict[str, Any] = {
            "corpus": corpus,
            "trained_on": sorted({each.corpus for each in runs[0]["run"].train}),
            "seeds": sorted(each["seed"] for each in runs),
            "utterances": len(runs[0]["true"]),
            "speakers": len(set(speakers)),
            "true_shares": _shares(true, n),
        }
        for case in ("float", *CASES):
            said = np.concatenate([each["said"][case] for each in runs])
            drawn = bootstrap_draws(true, said, speakers, n, uar)
            draws[case].append(drawn)
            row[case] = {
                "uar": uar(confusion(true, said, n)),
                "interval": _interval(drawn),
                "shares": _shares(said, n),
                "swallowed_by": swallowers(_shares(true, n), _shares(said, n), labels),
            }
        rows.append(row)
    mean = {
        case: {
            "uar": float(np.mean([row[case]["uar"] for row in rows])),
            "interval": _interval(np.mean(drawn, axis=0)),
        }
        for case, drawn in draws.items()
    }
    return {
        "labels": list(labels),
        "enrolled_s": ENROL_S,
        "rows": rows,
        "mean": mean,
        "calibration": _calibration(heard),
    }


def _calibration(heard: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Temperature and threshold fitted on strangers, and what they give on a corpus that had no part in
    them.
    """
    runs = [(corpus, each) for corpus, every in sorted(heard.items()) for each in every]
    logits = np.concatenate([each["logits"] for _, each in runs])
    true = np.concatenate([each["true"] for _, each in runs])
    starts = np.cumsum([0, *(len(each["true"]) for _, each in runs)])
    owners = np.concatenate(
        [each["owners"] + start for (_, each), start in zip(runs, starts, strict=False)]
    ).astype(np.int64)
    corpora = [corpus for corpus, each in runs for _ in each["true"]]
    temperature = fit_temperature(logits, owners, true)
    return {
        "temperature": temperature,
        "abstain_below": fit_threshold(utterance_scores(logits, owners, temperature), true),
        "apart": "corpus",
        **cross_fitted(logits, owners, true, corpora),
    }


def swallowers(
    true_shares: Sequence[float], said_shares: Sequence[float], labels: Sequence[str]
) -> list[str]:
    """Labels whose predicted share is above twice the true share and ten points: they swallow others."""
    return [
        label
        for label, true, said in zip(labels, true_shares, said_shares, strict=True)
        if said > 2 * true + 0.1
    ]


def _shares(labels: Labels, n: int) -> list[float]:
    return [float(share) for share in np.bincount(labels, minlength=n)[:n] / len(labels)]


def _interval(draws: NDArray[np.float64]) -> list[float]:
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return [float(low), float(high)]
