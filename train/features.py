"""Features by the product's own front end, computed once and kept by content.

A cache entry is named by a digest of all that decides its values: the bytes of the recording, the options,
how the audio is cut, and the bytes of the compiled front end. Nothing is ever looked up by a recording's name
or date.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_ser._native
from edge_ser import audio, conditioner, pcm, wav
from edge_ser.classifier import is_silent
from edge_ser.frontend import Frontend
from edge_ser.onset import from_onset
from edge_ser.short import filled
from train.arrays import Features, Samples
from train.audio import read_audio
from train.augment import noise, waveform
from train.recipe import Input, Recipe, frontend_options
from train.utterance import Utterance
from train.vad import speech_only

CACHE = Path(os.environ.get("EDGE_SER_CACHE") or Path(__file__).parents[1] / ".cache") / "features"


@functools.cache
def frontend_digest() -> str:
    """Digest of all that turns a file into features: the compiled front end, the readers, the libraries they
    call.
    """
    digest = hashlib.sha256(Path(edge_ser._native.__file__).read_bytes())
    for module in (audio, conditioner, pcm, wav):
        digest.update(Path(str(module.__file__)).read_bytes())
    for library in ("soundfile", "soxr"):
        digest.update(importlib.metadata.version(library).encode())
    return digest.hexdigest()


@functools.cache
def augmentation_digest() -> str:
    """Digest of the code that changes waveforms."""
    sources = [Path(str(module.__file__)) for module in (noise, waveform)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class Extractor:
    """Computes what a recipe's network takes, from recordings below ``root`` or from samples.

    ``repeat_to_s``: a window of less that breaks off is heard again until it is full (edge_ser/short.py).
    """

    def __init__(
        self, recipe: Recipe, root: Path, cache: Path | None = CACHE, repeat_to_s: float = 0.0
    ) -> None:
        self.options = frontend_options(recipe)
        self.input: Input = recipe.input
        self.root = root
        self.cache = cache
        self.frontend = Frontend(self.options)
        self.rate_hz: int = self.options.rate_hz
        self.n_features: int = self.frontend.n_features
        self.window_samples = round(self.input.length_s * self.rate_hz)
        self.hop_samples = round(self.input.hop_s * self.rate_hz)
        self.repeat_samples = round(repeat_to_s * self.rate_hz)

    @property
    def frames(self) -> int | None:
        """Frames of one network input; None when they vary."""
        if self.input.cut == "window":
            return int(self.frontend.n_frames(self.window_samples))
        return self.input.frames if self.input.cut == "segment" else None

    def silence(self) -> Features:
        """The features [features] of digital silence, with which shifted windows are filled."""
        return np.asarray(self.compute(np.zeros(self.window_samples, dtype=np.float32))[0], dtype=np.float32)

    def compute(self, samples: Samples) -> Features:
        """All frames of ``samples``; for windows, of ``samples`` zero-padded to at least one window."""
        return self._frames(self._heard(samples))

    def _heard(self, samples: Samples) -> Samples:
        """Without what the recipe leaves out; of the beginning, what a device without Silero would (a step
        model to a few chunks where its first window is digital silence: it cuts windows elsewhere).
        """
        if self.input.silence == "remove":
            samples = speech_only(samples, self.rate_hz)
        if self.input.lead_s:
            left_out, _ = from_onset(
                [samples],
                self.window_samples,
                self.hop_samples,
                self.rate_hz,
                self.input.lead_s,
                lambda _, window: not is_silent(window),
            )
            samples = samples[left_out:]
        return samples

    def _frames(self, samples: Samples) -> Features:
        if self.input.cut == "window" and len(samples) < self.window_samples:
            samples = np.pad(samples, (0, self.window_samples - len(samples)))
        return np.asarray(self.frontend.process(np.ascontiguousarray(samples)), dtype=np.float32)

    def windows(self, samples: Samples, delay_samples: int = 0) -> NDArray[np.float32]:
        """The inputs [n, frames, features] of an utterance exactly as the device makes them.

        Windows start every ``hop_s``, the last one ends with the audio; each is computed from its own audio
        alone.
        ``delay_samples`` of silence come first (test-time shifts).
        """
        samples = np.pad(self._heard(samples), (delay_samples, 0))
        if self.input.cut == "window":
            starts = window_starts(len(samples), self.window_samples, self.hop_samples)
            cuts = [samples[start : start + self.window_samples] for start in starts]
            full = (filled(each, self.window_samples, self.repeat_samples, self.rate_hz) for each in cuts)
            return np.stack([self._frames(each) for each in full])
        features = self._frames(samples)
        if self.input.cut == "segment":
            return self.segments(features)
        limit = self.input.max_frames or len(features)
        return features[None, :limit]

    def segment_starts(self, n_frames: int) -> list[int]:
        """First frames of the segments of ``n_frames``: every ``hop_frames``, the last flush with the end."""
        return window_starts(n_frames, self.input.frames, self.input.hop_frames)

    def segment(self, features: Features, start: int) -> Features:
        """One segment [frames, features]; an utterance shorter than that is repeated."""
        frames = self.input.frames
        if len(features) < frames:
            return np.tile(features, (-(-frames // len(features)), 1))[:frames]
        return features[start : start + frames]

    def segments(self, features: Features) -> NDArray[np.float32]:
        """All segments of an utterance, [n, frames, features]."""
        return np.stack([self.segment(features, start) for start in self.segment_starts(len(features))])

    def samples(self, utterance: Utterance) -> Samples:
        """The recording's samples at the front end's rate."""
        return read_audio(self.root / utterance.path, self.rate_hz)

    def cached(self, utterance: Utterance, what: str, delay_samples: int = 0) -> NDArray[np.float32]:
        """``compute`` ("frames") or ``windows`` ("windows") of a recording, from the cache when it
        is there.
        """
        path = self._entry(utterance, what, delay_samples)
        if path is not None and path.is_file():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        samples = self.samples(utterance)
        found = self.compute(samples) if what == "frames" else self.windows(samples, delay_samples)
        if path is not None:
            store(path, found)
        return found

    def rendered(self, utterance: Utterance, augmentations: Sequence[Any], index: int) -> NDArray[np.float32]:
        """``compute`` of a recording after waveform ``augmentations``, drawn for it and ``index`` alone.

        Cached unless an augmentation draws from recordings, whose contents the cache does not know.
        """
        about = {"rendering": index, "by": repr(augmentations), "code": augmentation_digest()}
        known = not any(getattr(each, "folder", "") for each in augmentations)
        path = self._entry(utterance, "frames", 0, about) if known else None
        if path is not None and path.is_file():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        samples = self.samples(utterance)
        rng = np.random.default_rng([zlib.crc32(utterance.path.encode()), index])
        for augmentation in augmentations:
            samples = augmentation.apply(samples, self.rate_hz, rng)
        found = self.compute(samples)
        if path is not None:
            store(path, found)
        return found

    def _entry(
        self, utterance: Utterance, what: str, delay_samples: int, about: Mapping[str, Any] | None = None
    ) -> Path | None:
        if self.cache is None:
            return None
        recording = hashlib.sha256((self.root / utterance.path).read_bytes()).hexdigest()
        cut: dict[str, Any] = {"what": what, "delay": delay_samples, **(about or {}), **vars(self.input)}
        del cut["warps"]  # which come after the features
        if not cut["lead_s"]:
            del cut["lead_s"]  # as in entries of older versions
        if what == "windows" and self.repeat_samples:
            cut["repeat"] = self.repeat_samples
        key = json.dumps([recording, self.options.as_dict(), cut, frontend_digest()], sort_keys=True)
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.cache / name[:2] / f"{name}.npy"


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Where windows start in ``length`` samples or frames: every ``hop``, the last one flush with the end."""
    if length <= window:
        return [0]
    starts = list(range(0, length - window + 1, hop))
    return starts if starts[-1] + window == length else [*starts, length - window]


def store(path: Path, array: NDArray[Any]) -> None:
    """Write an array so that a reader finds all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        np.save(file, array, allow_pickle=False)
    Path(file.name).replace(path)
