"""FrontendOptions resolve, survive a round trip and refuse what the C code cannot do."""

import json

import pytest

from edge_ser import ConfigError, FrontendOptions


@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
def test_options_survive_json(preset: str) -> None:
    options = FrontendOptions(preset=preset, n_mels=64, deltas=1)
    assert FrontendOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options


@pytest.mark.parametrize("preset", ["kaldi", "librosa", "htk"])
def test_every_field_is_resolved(preset: str) -> None:
    assert None not in FrontendOptions(preset=preset).as_dict().values()


def test_the_presets_hold_the_conventions_of_their_packages() -> None:
    kaldi, librosa, htk = (FrontendOptions(preset=name) for name in ("kaldi", "librosa", "htk"))
    assert (kaldi.window, kaldi.framing, kaldi.preemphasis_scope) == ("povey", "snip", "frame")
    assert (librosa.mel_scale, librosa.mel_norm, librosa.framing, librosa.log) == (
        "slaney",
        "slaney",
        "center",
        "db",
    )
    assert (htk.mel_slope, htk.framing, htk.power_scale) == ("bin", "tail", 1 / 512)
    assert (kaldi.window_length, kaldi.hop_length) == (400, 160)


def test_a_given_field_wins_over_the_preset() -> None:
    options = FrontendOptions(preset="kaldi", window="hamming", lifter=0)
    assert (options.window, options.lifter, options.remove_dc) == ("hamming", 0.0, True)


def test_an_unknown_field_names_the_nearest() -> None:
    values = {**FrontendOptions().as_dict(), "n_mel": 40}
    with pytest.raises(ConfigError, match="'n_mel'; did you mean 'n_mels'"):
        FrontendOptions.from_dict(values)


def test_a_missing_field_is_named() -> None:
    values = FrontendOptions().as_dict()
    del values["lifter"]
    with pytest.raises(ConfigError, match="'lifter' is missing"):
        FrontendOptions.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "kaldy"}, "did you mean 'kaldi'"),
        ({"preset": ["kaldi"]}, "preset must be one of"),
        ({"window": "hamm"}, "did you mean 'hamming'"),
        ({"n_fft": 500}, "n_fft must be"),
        ({"n_fft": 256}, "window must have"),
        ({"n_fft": 512.5}, "n_fft is out of range"),
        ({"n_mels": 0}, "n_mels must be"),
        ({"n_mels": True}, "n_mels must be a number"),
        ({"n_mfcc": 41}, "n_mfcc must be 1 to n_mels"),
        ({"hop_ms": 26.0}, "hop must have"),
        ({"hop_ms": 0.0}, "hop must have"),
        ({"rate_hz": 0}, "rate_hz must be"),
        ({"high_hz": 9000.0}, "high_hz must be at most"),
        ({"low_hz": 8000.0}, "low_hz must be"),
        ({"low_hz": float("nan")}, "low_hz must be a number"),
        ({"lifter": -1.0}, "lifter must be"),
        ({"log_floor": 0.0}, "log_floor must be"),
        ({"remove_dc": 1}, "remove_dc must be true or false"),
        ({"deltas": 3}, "delta_order must be 0, 1 or 2"),
        ({"delta_window": 0}, "delta_window must be"),
        ({"window_ms": float("inf")}, "window_ms must be a number"),
        ({"window_ms": "25"}, "window_ms must be a number"),
        ({"rate_hz": 10**30}, "rate_hz is out of range"),
    ],
)
def test_what_cannot_be_computed_is_a_config_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrontendOptions(**changes)  # type: ignore[arg-type]
