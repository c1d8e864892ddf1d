"""The network inputs of utterances exactly as the device makes them: front end, windows, standardisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from convert.ir import Float
from convert.run import Run
from edge_ser.errors import ConfigError, ModelError
from train.features import Extractor
from train.hearings import Hearings
from train.recipe import recipe_from_dict
from train.utterance import Utterance

REPEAT_TO_S = 1.5  # docs/experiments.md


@dataclass(frozen=True)
class Inputs:
    """``features``: one array [frames, features] per window (per utterance in step form), standardised.

    ``owners`` [inputs]: the index of each one's utterance. ``hearings``: how the model hears each of them.
    ``repeat_frames``: a step model hears what is shorter again until it has had so many.
    """

    features: list[Float]
    owners: np.ndarray[tuple[int], np.dtype[np.int64]]
    hearings: Hearings = field(default_factory=Hearings)
    repeat_frames: int = 0

    def stacked(self) -> Float:
        """All of them [inputs, frames, features]; shorter ones repeat their frames, so that no frame is
        invented.
        """
        longest = max(len(each) for each in self.features)
        return np.stack([each[np.arange(longest) % len(each)] for each in self.features])


def in_chunks(features: Float, frames: int, at_least: int) -> Float:
    """What a step model hears of a recording's ``features``: whole chunks of ``frames``, and, where they are
    fewer than ``at_least`` frames, again from the start (docs/formats.md).
    """
    whole = features[: len(features) // frames * frames]
    wanted = round(at_least / frames) * frames
    return whole[np.arange(wanted) % len(whole)] if 0 < len(whole) < wanted else whole


class Source:
    """Reads utterances below ``root`` for a run. ``window_s`` fixes the window of a run trained on whole
    utterances. What is shorter than ``repeat_to_s`` is heard again (docs/formats.md). ``lead_s``: how much of
    what is before its first sound any model hears (0: all; None: as in training).
    """

    def __init__(
        self,
        run: Run,
        root: Path,
        window_s: float | None = None,
        repeat_to_s: float = REPEAT_TO_S,
        lead_s: float | None = None,
    ) -> None:
        recipe = recipe_from_dict(run.record["recipe"], str(run.folder / "run.json"))
        if lead_s is not None:
            recipe = replace(recipe, input=replace(recipe.input, lead_s=lead_s))
        self.lead_s = recipe.input.lead_s
        cut = recipe.input.cut
        self.length_s: float | None = run.record["window"]["length_s"]
        self.hop_s: float | None = run.record["window"]["hop_s"]
        hop_ms = run.record["frontend"]["hop_ms"]
        self.repeat_frames = round(1000 * repeat_to_s / hop_ms) if run.step else 0
        if run.step:
            self.length_s = self.hop_s = None
        elif cut == "whole":
            self.length_s = window_s or 3.0
            self.hop_s = self.length_s / 2
        elif window_s is not None:
            raise ConfigError(
                f"--window-s: {run.folder} was trained on windows of {self.length_s} s; leave it out"
            )
        if self.length_s is not None and self.hop_s is not None:  # the device cuts audio, not features
            as_heard = replace(recipe.input, cut="window", length_s=self.length_s, hop_s=self.hop_s)
            recipe = replace(recipe, input=as_heard)
        self.repeat_to_s = min(repeat_to_s, self.length_s or repeat_to_s)
        self.extractor = Extractor(recipe, root, repeat_to_s=0.0 if run.step else self.repeat_to_s)
        self.frames: int | None = self.extractor.frames
        if cut == "segment" and self.frames != run.record["input"]["frames"]:
            raise ModelError(
                f"{run.folder}: {self.length_s} s of audio give {self.frames} frames where the model takes "
                f"{run.record['input']['frames']}; train with a front end that cuts frames inside the audio "
                f"(snip)"
            )
        self.root = root
        self.mean, self.std = run.mean, run.std
        self.warps: list[float] = recipe.input.warps
        self.hearings = Hearings.of(self.extractor.options, self.warps, self.mean, self.std)

    def inputs(self, utterances: Sequence[Utterance]) -> Inputs:
        features: list[Float] = []
        owners: list[int] = []
        for index, utterance in enumerate(utterances):
            for window in self.extractor.cached(utterance, "windows"):
                features.append(((window - self.mean) / self.std).astype(np.float32))
                owners.append(index)
        return Inputs(features, np.array(owners, np.int64), self.hearings, self.repeat_frames)
