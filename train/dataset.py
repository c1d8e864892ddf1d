"""Training batches and test inputs of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.arrays import Features, Labels
from train.augment import build_augment
from train.augment.speaker import Voices
from train.features import Extractor
from train.models import BRANCHES
from train.recipe import Recipe
from train.targets import Opinions, Targets
from train.utterance import Utterance
from train.vad import speech_blocks

TEST_SHIFT_S = 0.1
SILENT_SHARE = 0.5  # of a segment's frames, from which it belongs to the class "silence"


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each feature over the training data, as the network's input
    sees them.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return (features - self.mean) / self.std


def measure(extractor: Extractor, utterances: Sequence[Utterance]) -> Normalisation:
    """Statistics over all frames of all inputs of ``utterances``, the padding of windows included."""
    count, total, square = 0, np.zeros(extractor.n_features), np.zeros(extractor.n_features)
    for utterance in utterances:
        frames = extractor.cached(utterance, "windows").reshape(-1, extractor.n_features).astype(np.float64)
        count += len(frames)
        total += frames.sum(axis=0)
        square += (frames**2).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 1e-8))
    return Normalisation(mean.astype(np.float32), std.astype(np.float32))


@dataclass(frozen=True)
class Batch:
    """One step's worth: inputs [batch, frames, features], a target and a weight per head."""

    inputs: NDArray[np.float32]
    targets: dict[str, NDArray[np.float32]]
    weights: dict[str, NDArray[np.float32]]


class TrainingSet:
    """The training utterances of a run, as batches that depend on the seed and the epoch alone."""

    teacher: Callable[[Features, np.random.Generator], Features] | None = None  # train/teacher.py

    def __init__(
        self,
        recipe: Recipe,
        extractor: Extractor,
        utterances: Sequence[Utterance],
        seed: int,
        opinions: Opinions | None = None,
    ) -> None:
        self.recipe = recipe
        self.extractor = extractor
        self.seed = seed
        self.normalise = measure(extractor, utterances)
        self.targets = Targets(recipe, utterances, opinions)
        utterances = [*utterances, *(opinions.further if opinions else ())]
        self.utterances = utterances
        augmentations = build_augment(recipe.augment)
        self.of_waveform = [each for each in augmentations if each.domain == "waveform"]
        self.of_speaker = [each for each in augmentations if each.domain == "speaker"]
        self.of_frames = [each for each in augmentations if each.domain == "frames"]
        self.of_features = [each for each in augmentations if each.domain == "features"]
        self.offsets = [each for each in augmentations if each.domain == "offset"]
        self.silence = extractor.silence() if recipe.input.cut == "window" else None
        anew = self.of_waveform and not recipe.fit.renderings
        self.samples = [extractor.samples(each) for each in utterances] if anew else []
        self.features = [] if anew else [self._renderings(each) for each in utterances]
        self.voices = self._voices() if self.of_speaker else None
        self.silent = self._silent_segments() if recipe.input.silence == "class" else []
        self.units = self._units()

    def _renderings(self, utterance: Utterance) -> list[Features]:
        """The utterance's features as recorded, or in each of the recipe's renderings.

        What a rendering is depends on the recording and its number alone, so all folds and seeds share them.
        """
        if not self.of_waveform:
            return [self.extractor.cached(utterance, "frames")]
        count = self.recipe.fit.renderings
        return [self.extractor.rendered(utterance, self.of_waveform, index) for index in range(count)]

    def _voices(self) -> Voices:
        frames = [self.extractor.cached(each, "frames") for each in self.utterances]
        return Voices(self.utterances, [each[: self._heard(each)] for each in frames])

    def _heard(self, features: Features) -> int:
        """How many frames there are before the padding."""
        if self.silence is None:
            return len(features)
        sound = np.flatnonzero((features != self.silence).any(axis=1))
        return int(sound[-1]) + 1 if len(sound) else len(features)

    def _silent_segments(self) -> list[NDArray[np.bool_]]:
        return [silent_segments(self.extractor, self.extractor.samples(each)) for each in self.utterances]

    def _units(self) -> list[tuple[int, int]]:
        """What one epoch goes through: (utterance, segment) pairs, segment 0 where there is one input an
        utterance.
        """
        if self.recipe.input.cut != "segment":
            return [(index, 0) for index in range(len(self.utterances))]
        counts = [len(self.extractor.cached(each, "windows")) for each in self.utterances]
        return [(index, segment) for index, count in enumerate(counts) for segment in range(count)]

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.units) // self.recipe.fit.batch_size)

    def batches(self, epoch: int, steps: int = 0) -> Iterator[Batch]:
        """The batches of an epoch: the same for the same seed and epoch, whatever came before.

        With ``steps``, at least :attr:`steps`, there are so many, all of them full: what is missing is drawn
        again.
        """
        rng = np.random.default_rng([self.seed, epoch])
        for chosen in self._order(rng, steps):
            generators = [np.random.default_rng([self.seed, epoch, *self.units[unit]]) for unit in chosen]
            inputs = [
                self._input(self.units[unit], each) for unit, each in zip(chosen, generators, strict=True)
            ]
            owners = [self.units[unit][0] for unit in chosen]
            batch = Batch(padded(inputs), *self.targets.of(owners))
            if self.recipe.input.silence == "class":
                self._mark_silence(chosen, batch)
            if self.teacher is not None:
                self._teach(batch, rng)
            yield mixed_up(batch, self.recipe.fit.mixup, rng) if self.recipe.fit.mixup else batch

    def _teach(self, batch: Batch, rng: np.random.Generator) -> None:
        """Blend what the teacher says of each input into the targets of the emotion and its branches."""
        assert self.teacher is not None
        weight = np.float32(self.recipe.teacher.weight)
        said = self.teacher(batch.inputs, rng)
        for head in {"emotion", *BRANCHES} & batch.targets.keys():
            batch.targets[head][:] = (1 - weight) * batch.targets[head] + weight * said

    def _order(self, rng: np.random.Generator, steps: int = 0) -> list[NDArray[np.int64]]:
        size = self.recipe.fit.batch_size
        order = rng.permutation(len(self.units))
        if steps:
            order = np.concatenate([order, rng.integers(len(order), size=steps * size - len(order))])
        if self.recipe.fit.bucket:
            lengths = [
                round(4.0 * (self.utterances[self.units[unit][0]].duration_s or 0.0)) for unit in order
            ]
            order = order[np.argsort(lengths, kind="stable")]
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        return [batches[i] for i in rng.permutation(len(batches))] if self.recipe.fit.bucket else batches

    def _input(self, unit: tuple[int, int], rng: np.random.Generator) -> Features:
        index, segment = unit
        features = self._features(index, rng)
        if self.recipe.input.cut == "window":
            features = self._window(features, rng)
        elif self.recipe.input.cut == "segment":
            starts = self.extractor.segment_starts(len(features))
            features = self.extractor.segment(features, starts[min(segment, len(starts) - 1)])
        elif self.recipe.input.max_frames and len(features) > self.recipe.input.max_frames:
            start = int(rng.integers(len(features) - self.recipe.input.max_frames + 1))
            features = features[start : start + self.recipe.input.max_frames]
        features = self.normalise(features)
        for augmentation in self.of_features:
            features = augmentation.apply(features, rng)
        return features

    def _features(self, index: int, rng: np.random.Generator) -> Features:
        if self.samples:
            samples = self.samples[index]
            for augmentation in self.of_waveform:
                samples = augmentation.apply(samples, self.extractor.rate_hz, rng)
            features = self.extractor.compute(np.ascontiguousarray(samples))
        else:
            renderings = self.features[index]
            features = renderings[int(rng.integers(len(renderings))) if len(renderings) > 1 else 0]
        for augmentation in self.of_speaker:
            assert self.voices is not None
            offset = self.voices.offset(index, augmentation, rng)
            if offset is not None:
                features = features.copy()
                features[: self._heard(features)] -= offset
        for augmentation in self.of_frames:
            features = augmentation.apply(features, rng)
        return features

    def _window(self, features: Features, rng: np.random.Generator) -> Features:
        """A window at a random place of a long utterance, moved by the recipe's offsets, silence where it
        overhangs.
        """
        assert self.silence is not None and self.extractor.frames is not None
        frames = self.extractor.frames
        start = int(rng.integers(max(len(features) - frames, 0) + 1))
        start += sum(int(each.draw(rng)) for each in self.offsets)
        window = np.tile(self.silence, (frames, 1))
        first, last = max(start, 0), min(start + frames, len(features))
        window[first - start : last - start] = features[first:last]
        return window

    def _mark_silence(self, chosen: NDArray[np.int64], batch: Batch) -> None:
        for row, unit in enumerate(chosen):
            index, segment = self.units[unit]
            if self.silent[index][segment]:
                for head in {"emotion", *BRANCHES} & batch.targets.keys():
                    batch.targets[head][row] = 0.0
                    batch.targets[head][row, -1] = 1.0


def silent_segments(extractor: Extractor, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For each segment of ``samples``: is nobody speaking in at least half of its frames?"""
    n_frames = int(extractor.frontend.n_frames(len(samples)))
    speech = speech_blocks(samples, extractor.rate_hz).astype(np.float32)
    of_frame = speech[np.minimum(np.arange(n_frames) * len(speech) // max(n_frames, 1), len(speech) - 1)]
    segments = extractor.segments(of_frame[:, None])[:, :, 0]
    return np.asarray(1.0 - segments.mean(axis=1) >= SILENT_SHARE)


def padded(inputs: Sequence[Features]) -> NDArray[np.float32]:
    """Stack inputs, zeros behind the shorter ones."""
    longest = max(len(each) for each in inputs)
    batch = np.zeros((len(inputs), longest, inputs[0].shape[1]), dtype=np.float32)
    for row, each in enumerate(inputs):
        batch[row, : len(each)] = each
    return batch


def mixed_up(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Mixup (Zhang et al., ICLR 2018): each example is blended with another of its batch, and so are the
    targets.
    """
    share = np.float32(rng.beta(alpha, alpha))
    other = rng.permutation(len(batch.inputs))

    def blend(values: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {name: share * each + (1 - share) * each[other] for name, each in values.items()}

    inputs = share * batch.inputs + (1 - share) * batch.inputs[other]
    return Batch(inputs, blend(batch.targets), blend(batch.weights))


def test_inputs(extractor: Extractor, normalise: Normalisation, utterance: Utterance, shifts: int = 0) -> Any:
    """All inputs [n, frames, features] of a test utterance, its shifted copies behind the plain ones."""
    delays = [round(number * TEST_SHIFT_S * extractor.rate_hz) for number in range(shifts + 1)]
    inputs = [normalise(extractor.cached(utterance, "windows", delay)) for delay in delays]
    return np.concatenate(inputs) if len({each.shape[1] for each in inputs}) == 1 else inputs


def true_labels(labels: Sequence[str], utterances: Sequence[Utterance]) -> Labels:
    """The index of each utterance's emotion in ``labels``."""
    return np.array([labels.index(utterance.emotion) for utterance in utterances], dtype=np.int64)
