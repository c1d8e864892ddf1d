"""What a profile and slow adaptation are worth, on speakers that the model never heard.

python benchmarks/adaptation.py CV [--draws 5] [--json]

CV is a finished cross-validation that left one speaker out (python -m train cv emodb-cnn). For each of its
models about 30 s of the stranger's neutral speech are drawn at random and enrolled, at least two neutral
utterances staying out; everything else of that speaker is the test, the same for all cases:

plain            the model as it is
profile          the enrolled offset is subtracted from the features, the enrolled leaning from the logits
offset alone     of a profile
leaning alone    of a profile
adapt            nothing is enrolled; the offset follows the test utterances so far, in random order
profile + adapt  both

The corrections are edge_ser.adaptation's own; the networks are the float models of the folds. What they
answer to plain speech, which a leaning is told from, is the mean of the other folds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from convert.data import Source, in_chunks
from convert.pipeline import stride
from convert.reference import reference
from convert.run import Run, read_run
from edge_ser.adaptation import Adaptation
from edge_ser.frontend import FrontendOptions
from edge_ser.profile import Profile
from train.backend import configure
from train.dataset import padded
from train.metrics import confusion, uar, wa
from train.predict import softmax
from train.utterance import Utterance

ENROL_S = 30.0
LEFT_NEUTRAL = 2
CASES = ("plain", "profile", "offset alone", "leaning alone", "adapt", "profile + adapt")


class Fold:
    """One model, the speaker it never heard, and that speaker's sound."""

    def __init__(self, folder: Path, corpora: Path) -> None:
        run: Run = read_run(folder)
        self.labels, self.utterances = run.labels, run.held_out
        self.mean, self.std = np.asarray(run.mean, np.float32), np.asarray(run.std, np.float32)
        source = Source(run, corpora)
        self.options = FrontendOptions.from_dict(run.record["frontend"])
        self.stand_in = SimpleNamespace(
            name=run.record["recipe_name"],
            labels=self.labels,
            frontend=self.options,
            record={"reference": reference(source, run.train), "graph": {"sha256": str(folder)}},
        )
        self.network = run.load_model()
        self.step_frames = stride(self.network) if run.step else 0
        self.repeat_frames = source.repeat_frames
        self.samples = [source.extractor.samples(each) for each in self.utterances]
        self.frontend = source.extractor.frontend
        self.hearings = source.hearings
        self.windows = [self._windows(source.extractor.windows(sound), sound) for sound in self.samples]
        self._hop = source.extractor.hop_samples

    def _windows(self, windows: np.ndarray, sound: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """The windows [frames, features], and how many frames of each hold sound: as Engine.adapt has it."""
        if self.step_frames:
            whole = [in_chunks(each, self.step_frames, self.repeat_frames) for each in windows]
            return [(each, len(each)) for each in whole]
        heard = -(-len(sound) // self.options.hop_length)
        return [(window, min(heard, len(window))) for window in windows]

    def true(self, chosen: Sequence[int]) -> np.ndarray:
        return np.array([self.labels.index(self.utterances[i].emotion) for i in chosen])

    def logits(self, chosen: Sequence[int], shifts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """[windows, classes] of the chosen utterances, each corrected by its shift, and whose they are."""
        inputs, owners = [], []
        for place, (i, shift) in enumerate(zip(chosen, shifts, strict=True)):
            for window, heard in self.windows[i]:
                corrected = window.copy()
                corrected[:heard] -= shift
                inputs.append(((corrected - self.mean) / self.std).astype(np.float32))
                owners.append(place)
        logits = self.hearings.mean(self._answers, inputs)
        return logits[:, : len(self.labels)], np.array(owners)

    def _answers(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        outputs = self.network.predict_on_batch(padded(inputs))
        return np.asarray(outputs["emotion"] if isinstance(outputs, dict) else outputs)

    def predicted(self, case: str, profile: Profile, chosen: Sequence[int]) -> np.ndarray:
        """The labels of the chosen utterances, which are heard in this order."""
        if case == "offset alone":
            profile = replace(profile, logits=None)
        start = None if case in ("plain", "adapt") else profile
        follow = Adaptation(self.stand_in, start, learn="adapt" in case)  # type: ignore[arg-type]
        shifts = []
        for i in chosen:
            shifts.append(follow.shift() * (case not in ("plain", "leaning alone")))
            follow.hear(self.samples[i])
        logits, owners = self.logits(chosen, shifts)
        scores = np.zeros((len(chosen), len(self.labels)))
        np.add.at(scores, owners, softmax(logits - follow.leaning()))
        return scores.argmax(axis=1)

    def neutral_logits(self) -> np.ndarray:
        """[classes]: the mean answer to plain speech."""
        neutral = [i for i, each in enumerate(self.utterances) if each.emotion == "neutral"]
        logits, _ = self.logits(neutral, [np.zeros(1)] * len(neutral))
        return logits.mean(axis=0)

    def enrol(self, chosen: Sequence[int], shifted: bool = True) -> Profile:
        """A profile of the chosen utterances; ``shifted``: its leaning is what is left behind its offset."""
        frames = np.concatenate([self.frontend.process(self.samples[i]) for i in chosen])
        seconds = sum(len(self.samples[i]) for i in chosen) / self.options.rate_hz
        profile = Profile(self.options.as_dict(), frames.mean(axis=0, dtype=np.float64), seconds)
        shift = Adaptation(self.stand_in, profile, learn=False).shift()  # type: ignore[arg-type]
        logits, _ = self.logits(chosen, [shift * shifted] * len(chosen))
        return replace(profile, graph=self.stand_in.record["graph"]["sha256"], logits=logits.mean(axis=0))


def draw(utterances: Sequence[Utterance], rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """(enrolled, tested) indices."""
    order = rng.permutation(len(utterances)).tolist()
    neutral = [i for i in order if utterances[i].emotion == "neutral"]
    enrolled: list[int] = []
    seconds = 0.0
    while seconds < ENROL_S and len(enrolled) < len(neutral) - LEFT_NEUTRAL:
        enrolled.append(neutral[len(enrolled)])
        seconds += utterances[enrolled[-1]].duration_s or 0.0
    return enrolled, [i for i in order if i not in enrolled]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cv", type=Path)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    configure()
    corpora = Path(os.environ["EDGE_SER_CORPORA"])
    folds = [Fold(folder, corpora) for folder in sorted(args.cv.glob("fold-*"))]
    speakers = [fold.utterances[0].speaker_id for fold in folds]
    neutral = [fold.neutral_logits() for fold in folds]
    for fold, own in zip(folds, speakers, strict=True):
        of_others = [each for each, speaker in zip(neutral, speakers, strict=True) if speaker != own]
        logits = {"neutral": np.mean(of_others, axis=0).tolist()}
        fold.stand_in.record["reference"]["logits"] = logits | {"speech": logits["neutral"]}
    results: dict[str, list[tuple[float, float]]] = {case: [] for case in CASES}
    enrolled_s: list[float] = []
    better = 0
    for number in range(args.draws):
        counts = {case: [np.zeros((0, 0))] * len(folds) for case in CASES}
        for place, fold in enumerate(folds):
            enrolled, tested = draw(fold.utterances, np.random.default_rng((number, place)))
            profile, leaning = fold.enrol(enrolled), fold.enrol(enrolled, shifted=False)
            enrolled_s.append(profile.speech_s)
            true = fold.true(tested)
            for case in CASES:
                said = fold.predicted(case, leaning if case == "leaning alone" else profile, tested)
                counts[case][place] = confusion(true, said, len(fold.labels))
            better += wa(counts["profile"][place]) > wa(counts["plain"][place])
            better -= wa(counts["profile"][place]) < wa(counts["plain"][place])
        for case in CASES:
            results[case].append(figures(counts[case]))
        print(
            number + 1,
            {case: f"{100 * pairs[-1][0]:.1f}" for case, pairs in results.items()},
            file=sys.stderr,
        )
    report = {
        case: {"uar": np.mean(pairs, 0)[0], "wa": np.mean(pairs, 0)[1]} for case, pairs in results.items()
    }
    spread = np.std(
        [after[0] - before[0] for before, after in zip(results["plain"], results["profile"], strict=True)]
    )
    if args.json:
        print(json.dumps({"cases": report, "enrolled_s": np.mean(enrolled_s), "gain_sd": float(spread)}))
        return 0
    print(f"{len(folds)} folds, {args.draws} draws, {np.mean(enrolled_s):.0f} s enrolled on average\n")
    print("| | UAR | WA |\n|---|---|---|")
    for case, figure in report.items():
        print(f"| {case} | {100 * figure['uar']:.1f} | {100 * figure['wa']:.1f} |")
    print(f"\nThe gain of a profile varies by {100 * spread:.1f} points (sd) from draw to draw.")
    print(f"Speakers better off, less those worse off, by WA: {better / args.draws:+.1f} of {len(folds)}.")
    return 0


def figures(counts: Sequence[np.ndarray]) -> tuple[float, float]:
    """(UAR, WA) of all speakers together."""
    total = np.sum(counts, axis=0)
    return uar(total), wa(total)


if __name__ == "__main__":
    sys.exit(main())
