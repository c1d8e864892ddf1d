"""Speaker and room: corrections of the cepstral mean and of the model's leaning (docs/daemon.md has the
measurement).

A voice and a room colour every frame alike: a constant offset of the cepstrum. The offset of what is heard
here from the mean of the training voices is subtracted from every frame before it is quantised. Only the
lowest cepstra are corrected, which hold the colour of the spectrum; the higher ones follow the pitch, whose
mean is information, and c0 is the level. For mel bands the same correction is made through their cosine
transform.

What is left of voice and room makes a model lean towards some answers. A profile knows what the model said
of half a minute of the speaker on average; how far that is from what it says of strangers' speech of that
kind is subtracted from its logits.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from edge_ser.frontend import Frontend

if TYPE_CHECKING:
    from edge_ser.model import Model
    from edge_ser.profile import Profile

Float32 = NDArray[np.float32]
log = logging.getLogger(__name__)

CORRECTED = slice(1, 6)  # cepstra
PRIOR_S = 60.0  # how much speech the start (a profile, or no offset at all) counts for
MEMORY_S = 600.0  # of speech; what lies further back fades
LEANING_PRIOR_S = 20.0  # of speech without any leaning, which what was enrolled is weighed against


class Adaptation:
    """Follows the offset of the voice that is heard; ``shift()`` is what to subtract from each frame.

    ``profile``: where to start. ``learn``: whether ``hear`` changes anything. ``ConfigError`` where the
    model cannot be adapted or the profile is of another front end.
    """

    def __init__(self, model: Model, profile: Profile | None = None, learn: bool = True) -> None:
        options = model.frontend
        if options.normalize != "none":
            raise ConfigError(f"{model.name} normalises its features itself; leave --profile and --adapt out")
        self._frontend = Frontend(options)
        self._learn = learn
        n_features = self._frontend.n_features
        reference = _means(model.record.get("reference"), n_features)
        if "speech" not in reference:
            raise ConfigError(f"{model.name} does not say where its training voices lie; convert it again")
        self._speech = np.asarray(reference["speech"], np.float64)
        self._basis = _basis(options.feature, options.n_mels, n_features)
        self._start = np.zeros(n_features)
        self._leaning = np.zeros(len(model.labels), np.float32)
        if profile is not None:
            offset = profile.offset(options.as_dict(), reference)
            if not profile.any_mood:  # moods move the mean as much as voices do
                self._start = offset
            self._leaning = _leaning(model, profile)
        self._heard = np.zeros(n_features)
        self._heard_frames = 0.0
        self._per_s = options.rate_hz / options.hop_length

    def hear(self, samples: Float32) -> None:
        """Take speech (float32 at the model's rate), each piece once."""
        if not self._learn:
            return
        frames = self._frontend.process(samples)
        if not len(frames):
            return
        keep = min(1.0, MEMORY_S * self._per_s / (self._heard_frames + len(frames)))
        self._heard_frames = keep * (self._heard_frames + len(frames))
        share = len(frames) / max(self._heard_frames, len(frames))
        self._heard += share * (frames.mean(axis=0) - self._speech - self._heard)

    def shift(self) -> Float32:
        """The correction, float32 [features]."""
        prior = PRIOR_S * self._per_s
        offset = (prior * self._start + self._heard_frames * self._heard) / (prior + self._heard_frames)
        return (self._basis.T @ (self._basis @ offset)).astype(np.float32)

    def leaning(self) -> Float32:
        """What to subtract from the logits, float32 [classes]; zeros without a profile of this model."""
        return self._leaning


def _means(reference: object, n: int) -> dict[str, list[float]]:
    """The means of speech and of neutral speech; none where one of them is not ``n`` numbers."""
    if not isinstance(reference, dict):
        return {}
    means = {kind: reference[kind] for kind in ("speech", "neutral") if kind in reference}
    return means if all(_is_mean(value, n) for value in means.values()) else {}


def _is_mean(value: object, n: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == n
        and all(isinstance(number, (int, float)) and math.isfinite(number) for number in value)
    )


def _leaning(model: Model, profile: Profile) -> Float32:
    none = np.zeros(len(model.labels), np.float32)
    reference = _means(model.record["reference"].get("logits"), len(model.labels))
    if profile.logits is None or "speech" not in reference:
        return none
    if profile.graph != model.record["graph"]["sha256"]:
        log.warning(
            "the profile was made with another model; enroll with %s to gain all it gives", model.name
        )
        return none
    if len(profile.logits) != len(none):
        raise ConfigError(
            f"the profile has {len(profile.logits)} logits, {model.name} {len(none)} labels; enroll anew"
        )
    distance = profile.logits - np.asarray(profile.of_this_mood(reference))
    share = profile.speech_s / (profile.speech_s + LEANING_PRIOR_S)
    return np.asarray(share * distance, np.float32)


def _basis(feature: str, n_mels: int, n_features: int) -> NDArray[np.float64]:
    """Rows [corrected cepstra, features]: unit vectors for cepstra, cosines (orthonormal DCT-II) for mel
    bands.
    """
    if feature == "mfcc":
        return np.eye(n_features)[CORRECTED]
    k = np.arange(n_mels)[CORRECTED, None]
    basis = np.zeros((k.size, n_features))
    basis[:, :n_mels] = np.sqrt(2 / n_mels) * np.cos(np.pi * k * (np.arange(n_mels) + 0.5) / n_mels)
    return basis
