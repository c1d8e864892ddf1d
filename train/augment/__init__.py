"""Augmentations by name; a new one is a dataclass in one of the files here and a line in ``AUGMENTATIONS``.

An augmentation is a frozen dataclass of its options with ``domain`` saying what it works on:

- ``waveform``: ``apply(samples, rate_hz, rng)`` on float32 samples, before the front end;
- ``speaker``: moves an utterance by what ``Voices`` knows of its speaker;
- ``frames``: ``apply(features, rng)`` on an utterance's float32 [frames, features] out of the front end;
- ``features``: ``apply(features, rng)`` on standardised float32 [frames, features], 0 is the training mean;
- ``offset``: ``draw(rng)`` gives how many frames a training window is moved.

They are applied in the order of the recipe, to training data only, with a generator that depends on the seed,
the epoch and the utterance alone: the same whatever the order of the batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_ser.errors import ConfigError
from train.augment.cepstra import Level, Tempo, VocalTract
from train.augment.features import CepstralBias, FrequencyMask, LevelJitter, TimeMask
from train.augment.noise import Noise, Room
from train.augment.offset import TimeShift
from train.augment.speaker import SpeakerMean
from train.augment.waveform import Band, Excerpt, Gain, Pitch, Speed
from train.naming import nearest

AUGMENTATIONS: dict[str, type[Any]] = {
    "excerpt": Excerpt,
    "gain": Gain,
    "noise": Noise,
    "room": Room,
    "band": Band,
    "speed": Speed,
    "pitch": Pitch,
    "speaker_mean": SpeakerMean,
    "vocal_tract": VocalTract,
    "tempo": Tempo,
    "level": Level,
    "time_shift": TimeShift,
    "time_mask": TimeMask,
    "frequency_mask": FrequencyMask,
    "level_jitter": LevelJitter,
    "cepstral_bias": CepstralBias,
}


def build_augment(sections: Mapping[str, Mapping[str, Any]], where: str = "augment") -> list[Any]:
    """The augmentations of a recipe's ``[augment.NAME]`` sections, in their order. Raises ConfigError."""
    from train.recipe import build_options

    built = []
    for name, options in sections.items():
        if name not in AUGMENTATIONS:
            raise ConfigError(f"{where}: no augmentation {name!r}{nearest(name, AUGMENTATIONS)}")
        built.append(build_options(AUGMENTATIONS[name], options, f"{where}: augment.{name}"))
    return built


def check_augment(sections: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ConfigError unless every section names an augmentation and options that it has."""
    build_augment(sections, where)
