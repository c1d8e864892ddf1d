"""How the models of ``python -m train cross`` do with the corpus that each was not trained on, int8, through
the product's own chain: as they are, and adapted to the stranger.

Adapted means statistics of up to half a minute of the same speaker's audio, none of it among the test
recordings: every speaker's recordings of each label are dealt into two halves, and each half is heard with
what was learnt from the other. ``profile`` is what edge-ser enroll makes of the neutral recordings, as of
somebody who reads aloud; ``any_mood`` is enroll --any-mood of recordings whatever was felt in them, and
``adapt`` what --adapt has made of these by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.confidence import (
    cross_fitted,
    fit_temperature,
    fit_threshold,
    mean_typical,
    typical_logits,
)
from convert.cross import INT8, hear
from convert.parity import utterance_scores
from convert.pipeline import Settings, convert, model_bytes
from convert.run import read_run
from edge_ser.adaptation import Adaptation
from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.enrolment import enrol
from edge_ser.errors import ModelError
from edge_ser.model import Model
from train.arrays import Labels, Samples
from train.audio import read_audio
from train.dataset import true_labels
from train.metrics import bootstrap_draws, confusion, interval_of, uar
from train.utterance import Utterance

ENROL_S = 30.0
CASES = ("plain", "profile", "any_mood", "adapt")


def measure_strangers(
    folders: Sequence[Path], settings: Settings, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The table of unseen corpora; several ``folders`` that test the same corpus are seeds of it."""
    conversions = [convert(read_run(folder), settings) for folder in folders]
    labels = conversions[0].run.labels
    corpus_of = []
    for folder, conversion in zip(folders, conversions, strict=True):
        corpora = sorted({each.corpus for each in conversion.run.held_out})
        if len(corpora) != 1 or labels != conversion.run.labels:
            raise ModelError(
                f"{folder}: give runs of train cross on one unseen corpus each, with equal labels"
            )
        corpus_of.append(corpora[0])
    typical = [
        typical_logits(each.logits.ints, each.inputs.owners, each.true, labels) for each in conversions
    ]
    heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for folder, conversion, corpus in zip(folders, conversions, corpus_of, strict=True):
        run = conversion.run
        of_others = [each for each, other in zip(typical, corpus_of, strict=True) if other != corpus]
        calibration = {"temperature": 1.0, "abstain_below": 0.0, "typical_logits": mean_typical(of_others)}
        path = folder / INT8
        path.write_bytes(model_bytes(conversion, "stranger", {"calibration": calibration})[0])
        said = hear_corpus(Model.load(path), run.held_out, settings.root, run.record["seed"])
        said["float"] = utterance_scores(conversion.logits.floats, conversion.inputs.owners).argmax(axis=1)
        heard[corpus].append(
            {
                "said": said,
                "true": conversion.true,
                "utterances": run.held_out,
                "seed": run.record["seed"],
                "run": run,
                "logits": conversion.logits.ints,
                "owners": conversion.inputs.owners,
            }
        )
        n = len(labels)
        figures = ", ".join(
            f"{case} {100 * uar(confusion(conversion.true, said[case], n)):.1f}" for case in said
        )
        tell(f"{folder}: {corpus}, UAR {figures}")
    return _table(heard, labels)


def hear_corpus(model: Model, utterances: Sequence[Utterance], root: Path, seed: int) -> dict[str, Labels]:
    """What each utterance is taken for in each of CASES."""
    sounds = [read_audio(root / each.path, model.rate_hz) for each in utterances]
    true = true_labels(model.labels, utterances)
    by_speaker: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, utterance in enumerate(utterances):
        by_speaker[utterance.speaker_id][int(true[place])].append(place)
    plain, adapted = Classifier(model), Classifier(model)
    said = {case: np.zeros(len(utterances), np.int64) for case in CASES}

    def label(classifier: Classifier, place: int) -> int:
        answer = hear(classifier.classify(sounds[place]), classifier.labels, utterances[place].emotion)
        return int(np.argmax(answer))

    rng = np.random.default_rng(seed)
    for name in sorted(by_speaker):
        halves: tuple[list[int], list[int]] = [], []
        for number in sorted(by_speaker[name]):
            order = rng.permutation(by_speaker[name][number]).tolist()
            halves[0].extend(order[::2])
            halves[1].extend(order[1::2])
        for own, other in (halves, halves[::-1]):
            mixed = [sounds[place] for place in rng.permutation(other).tolist()]
            neutral = [sounds[place] for place in other if model.labels[true[place]] == "neutral"]
            corrected = {
                "profile": profile_of(adapted.engine, neutral, any_mood=False),
                "any_mood": profile_of(adapted.engine, mixed, any_mood=True),
                "adapt": followed(model, mixed),
            }
            for place in own:
                said["plain"][place] = label(plain, place)
                for case, (shift, leaning) in corrected.items():
                    adapted.engine.adapt(shift, leaning)
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


Correction = tuple[NDArray[np.float32], NDArray[np.float32]]  # of features and logits


def profile_of(engine: Engine, sounds: Sequence[Samples], any_mood: bool) -> Correction:
    """What a profile of ``sounds`` changes; nothing where there are none."""
    model = engine.model
    taken = enrolment(sounds, model.rate_hz)
    if not taken:
        return np.zeros(model.n_features, np.float32), np.zeros(len(model.labels), np.float32)
    profile = enrol(engine, taken, sum(map(len, taken)) / model.rate_hz, any_mood)
    adaptation = Adaptation(model, profile, learn=False)
    return adaptation.shift(), adaptation.leaning()


def followed(model: Model, sounds: Sequence[Samples]) -> Correction:
    """What --adapt changes after it has heard ``sounds``."""
    follow = Adaptation(model)
    for each in enrolment(sounds, model.rate_hz):
        follow.hear(each)
    return follow.shift(), follow.leaning()


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
                "interval": interval_of(drawn),
                "shares": _shares(said, n),
                "swallowed_by": swallowers(_shares(true, n), _shares(said, n), labels),
            }
        rows.append(row)
    mean = {
        case: {
            "uar": float(np.mean([row[case]["uar"] for row in rows])),
            "interval": interval_of(np.mean(drawn, axis=0)),
        }
        for case, drawn in draws.items()
    }
    lost = np.mean(draws["float"], axis=0) - np.mean(draws["plain"], axis=0)
    mean["plain"]["loss_interval"] = interval_of(lost)
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
        "typical_logits": mean_typical(
            [
                typical_logits(each["logits"], each["owners"], each["true"], each["run"].labels)
                for _, each in runs
            ]
        ),
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
