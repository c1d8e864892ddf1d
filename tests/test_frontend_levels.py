"""Every kind of instructions this processor has gives the same features, and streams what it batches."""

import numpy as np
import pytest

from edge_ser import ConfigError, Frontend, FrontendOptions, _native
from tests import reference_frontend
from tests.speech import recordings
from tests.test_frontend import NOISE, stream
from tests.test_frontend_reference import bound

NAMES = {"base": ("sse2", "neon", "scalar"), "avx2": ("avx2",), "avx512": ("avx512",)}
OPTION_SETS = [
    FrontendOptions(lifter=0.0),
    FrontendOptions(preset="librosa", feature="log_mel", n_mels=64, normalize="utterance"),
    FrontendOptions(preset="htk", lifter=0.0, deltas=1, normalize="sliding"),
    FrontendOptions(window_ms=64.0, hop_ms=16.0, n_fft=1024, n_mels=128, n_mfcc=40, lifter=0.0),
    FrontendOptions(window_ms=100.0, n_fft=2048, n_mels=33, n_mfcc=7, lifter=0.0, normalize="utterance"),
    FrontendOptions(window_ms=16.0, n_fft=256, n_mels=5, n_mfcc=1, lifter=0.0, normalize="utterance"),
]


def available() -> list[str]:
    levels = []
    for level in NAMES:
        if _native.options_problem({**FrontendOptions()._native_options(level)}) is None:
            levels.append(level)
    return levels


@pytest.mark.parametrize("level", available())
@pytest.mark.parametrize("options", OPTION_SETS, ids=range(len(OPTION_SETS)))
def test_each_level_agrees_with_the_reference_and_streams_its_bits(
    level: str, options: FrontendOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_SER_SIMD", level)
    frontend = Frontend(options)
    assert frontend.simd in NAMES[level]
    for samples in [NOISE, *list(recordings().values())[:2]]:
        rows = frontend.process(samples)
        assert np.abs(rows - reference_frontend.features(samples, options)).max() < bound(options)
        for cuts in ([160 * i for i in range(1, 60)], [1, 2, 3, 500, 7000, 7001]):
            assert stream(frontend, samples, cuts).tobytes() == rows.tobytes()


def test_the_best_level_is_the_default() -> None:
    assert Frontend().simd in NAMES[available()[-1]]


def test_an_unknown_level_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_SIMD", "mmx")
    with pytest.raises(ConfigError, match="EDGE_SER_SIMD"):
        Frontend()
