"""The face of the C front end: options that travel inside a model file, and samples in, features out.

The arithmetic is in ``native/``; docs/frontend.md has the formulas and their sources.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from edge_ser import _native
from edge_ser.errors import ConfigError

_CHOICES: dict[str, tuple[str, ...]] = {
    "preset": _native.PRESETS,
    "feature": _native.FEATURES,
    "framing": _native.FRAMINGS,
    "window": _native.WINDOWS,
    "preemphasis_scope": _native.PREEMPHASIS_SCOPES,
    "mel_scale": _native.MEL_SCALES,
    "mel_slope": _native.MEL_SLOPES,
    "mel_norm": _native.MEL_NORMS,
    "log": _native.LOGS,
    "energy": _native.ENERGIES,
    "normalize": _native.NORMALIZES,
}


@dataclass(frozen=True)
class FrontendOptions:
    """What the features are. Fields left at None take the preset's value when the object is made.

    Presets: ``kaldi`` (kaldi-native-fbank), ``librosa`` (librosa, ``top_db=None``), ``htk``
    (python_speech_features with a Hamming window). They fix conventions; rate, lengths and counts have
    the same defaults in all three.
    """

    preset: str = "kaldi"
    feature: str = "mfcc"  # mfcc | log_mel
    rate_hz: int = 16000
    window_ms: float = 25.0  # rounded to whole samples
    hop_ms: float = 10.0
    n_fft: int = 512  # 256, 512, 1024, 2048 or 4096; at least the window
    n_mels: int = 40
    n_mfcc: int = 13  # not used by log_mel
    deltas: int = 0  # 0 none, 1 deltas, 2 deltas and their deltas
    delta_window: int = 2  # rows on either side in the regression
    normalize: str = "none"  # none | utterance | sliding
    normalize_variance: bool = False
    normalize_s: float = 3.0  # of the sliding window
    framing: str | None = None  # snip | mirror | center | tail
    window: str | None = None  # povey | hamming | hann | hann_periodic | blackman | rectangular
    remove_dc: bool | None = None
    preemphasis_scope: str | None = None  # frame | signal
    preemphasis: float | None = None
    mel_scale: str | None = None  # htk | slaney
    mel_slope: str | None = None  # mel | hz | bin
    mel_norm: str | None = None  # none | slaney
    low_hz: float | None = None
    high_hz: float | None = None  # half the rate
    power_scale: float | None = None  # 1; 1 / n_fft in htk
    log: str | None = None  # natural | db
    log_floor: float | None = None
    lifter: float | None = None
    energy: str | None = None  # none | raw | windowed | spectrum; replaces c0, or is appended to log_mel
    input_scale: float | None = None  # samples of -1 to 1 are multiplied by it

    def __post_init__(self) -> None:
        _choose("preset", self.preset)
        preset = {
            **_native.preset_options(self.preset),
            "high_hz": self.rate_hz / 2,
            "power_scale": 1.0 / self.n_fft if self.preset == "htk" else 1.0,
        }
        if self.feature == "log_mel":
            preset["energy"] = "none"
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                value = preset[field.name]
            object.__setattr__(self, field.name, _typed(field.name, value))
        problem = _native.options_problem(self._native_options("best"))
        if problem:
            raise ConfigError(f"front-end options: {problem}")

    @property
    def window_length(self) -> int:
        """Samples in a window."""
        return math.floor(self.window_ms * self.rate_hz / 1000 + 0.5)

    @property
    def hop_length(self) -> int:
        """Samples from the start of a window to the start of the next."""
        return math.floor(self.hop_ms * self.rate_hz / 1000 + 0.5)

    def as_dict(self) -> dict[str, Any]:
        """Every field, resolved: what a model file stores."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrontendOptions:
        """The opposite of :meth:`as_dict`; ConfigError when a field is missing or unknown."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                hint = _nearest(str(name), known)
                raise ConfigError(f"front-end options: unknown field {name!r}{hint}")
        for name in known:
            if values.get(name) is None:
                raise ConfigError(f"front-end options: field {name!r} is missing")
        return cls(**values)

    def _native_options(self, simd: str) -> dict[str, Any]:
        return {
            **asdict(self),
            "simd": simd,
            "window_length": self.window_length,
            "hop_length": self.hop_length,
            "delta_order": self.deltas,
            "normalize_frames": max(1, round(self.normalize_s * self.rate_hz / self.hop_length))
            if self.hop_length
            else 0,
        }


def _choose(name: str, value: object) -> None:
    choices = _CHOICES[name]
    if value not in choices:
        raise ConfigError(
            f"front-end options: {name} must be one of {', '.join(choices)}, not {value!r}"
            + _nearest(str(value), choices)
        )


def _nearest(word: str, known: Sequence[str]) -> str:
    import difflib  # needed for mistakes only, and start-up counts

    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


_INTEGERS = {"rate_hz", "n_fft", "n_mels", "n_mfcc", "deltas", "delta_window"}
_BOOLEANS = {"remove_dc", "normalize_variance"}


def _typed(name: str, value: Any) -> Any:
    """The value in the type of its field, or ConfigError."""
    if name in _CHOICES:
        _choose(name, value)
        return value
    if name in _BOOLEANS:
        if not isinstance(value, bool):
            raise ConfigError(f"front-end options: {name} must be true or false, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"front-end options: {name} must be a number, not {value!r}")
    if abs(value) > 1e9 or (name in _INTEGERS and value != int(value)):
        raise ConfigError(f"front-end options: {name} is out of range: {value!r}")
    return int(value) if name in _INTEGERS else float(value)


class Frontend(_native.NativeFrontend):
    """Samples (float32, -1 to 1, at ``options.rate_hz``) to features, whole signals or as they arrive.

    Not to be used by two threads at once; each thread may have its own. ``process`` and push/pull give the
    same bits. The best instructions of the processor are used; the environment variable EDGE_SER_SIMD (best,
    base, avx2, avx512) forces others, for tests.
    """

    options: FrontendOptions

    def __new__(cls, options: FrontendOptions | None = None) -> Frontend:
        options = options or FrontendOptions()
        simd = os.environ.get("EDGE_SER_SIMD") or "best"
        if simd not in _native.SIMDS:
            raise ConfigError(f"EDGE_SER_SIMD must be one of {', '.join(_native.SIMDS)}, not {simd!r}")
        self = super().__new__(cls, options._native_options(simd))
        self.options = options
        return self

    def __init__(self, options: FrontendOptions | None = None) -> None:
        """``options``: what the features are; the kaldi preset when none are given."""
