"""Short audio: what breaks off is heard again by a model for a window, on the device and in the converter;
and logits count for less where little speech was heard.
"""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from small_models import RATE_HZ, signal

from convert.modelfile import pack, unpack
from edge_ser import Classifier, short
from edge_ser.live.scoring import make_scorer
from edge_ser.model import Model
from edge_ser.prediction import NO_SPEECH
from edge_ser.short import Shortness, breaks_off, filled, sounding_s
from train.features import Extractor
from train.recipe import load_recipe


@pytest.fixture(scope="module")
def both(window_model) -> tuple[Classifier, Classifier]:
    """The small model of a second, as it is and hearing again what is shorter than .8 s."""
    graph, entry = unpack(window_model)
    plain = Classifier(Model(pack(graph, entry, ""), "plain"))
    entry["window"]["repeat_to_s"] = 0.8
    return plain, Classifier(Model(pack(graph, entry, ""), "repeating"))


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(short, extraglobs={"np": np}).failed == 0


@pytest.mark.parametrize(
    ("db", "n", "off"), [(-19.5, 512, True), (-20.5, 512, True), (-20.5, 1024, False), (-19.5, 1024, True)]
)
def test_speech_has_ended_where_the_last_chunks_are_twenty_db_below_the_loudest(db, n, off):
    tone = signal("low", 1)
    ending = np.tile(tone[:512], 2)[:n] * np.float32(10 ** (db / 20))
    sound = np.concatenate([np.tile(tone[:512], 20), ending])
    for level in (1.0, 1e-3):
        assert breaks_off(np.float32(level) * sound, RATE_HZ) is off
    assert not breaks_off(np.zeros(4000, np.float32), RATE_HZ)
    assert not breaks_off(np.ones(511, np.float32), RATE_HZ)


@pytest.mark.parametrize("n", [1, 600, 5000, 12799])
def test_what_breaks_off_fills_the_window(both, n):
    plain, repeating = both
    sound = signal("high", 4)[:n]
    found = repeating.classify(sound)
    again = np.tile(sound, -(-RATE_HZ // n))[:RATE_HZ] if n >= 512 else sound
    assert found.scores == plain.classify(again).scores
    assert (found.duration_s, found.segments[0].end_s) == (n / RATE_HZ, n / RATE_HZ)
    np.testing.assert_array_equal(filled(sound, RATE_HZ, 12800, RATE_HZ), again)
    live = make_scorer(repeating.engine)
    live.begin(0)
    said = live.score(lambda begin, end: sound[begin:end], 0, n)
    assert said.tolist() == plain.engine.probabilities(plain.engine.window(again)).tolist()


def test_what_is_long_enough_or_has_ended_is_followed_by_silence(both):
    plain, repeating = both
    ended = np.concatenate([signal("high", 4)[:6000], np.zeros(1100, np.float32)])
    for sound in (signal("high", 4)[:12800], ended):
        assert repeating.classify(sound) == plain.classify(sound)
    assert repeating.classify(signal("high", 4)[:12799]) != plain.classify(signal("high", 4)[:12799])


def test_the_converter_hears_what_the_device_does():
    recipe = load_recipe("emodb-cnn")
    plain, repeating = Extractor(recipe, Path(), None), Extractor(recipe, Path(), None, repeat_to_s=1.5)
    sound = signal("low", 5, 1.2)
    np.testing.assert_array_equal(repeating.windows(sound), plain.windows(np.tile(sound, 3)[:48000]))
    np.testing.assert_array_equal(repeating.windows(sound[:500]), plain.windows(sound[:500]))
    longer = np.tile(sound, 2)
    np.testing.assert_array_equal(repeating.windows(longer), plain.windows(longer))
    np.testing.assert_array_equal(repeating.compute(sound), plain.compute(sound))  # what training learns from


def test_what_sounds_is_told_at_any_level_and_pauses_do_not_count():
    tone = np.tile(signal("low", 1)[:512], 10)
    quiet = tone * np.float32(10 ** (-26 / 20))
    for level in (1.0, 1e-3):
        assert sounding_s(np.float32(level) * np.concatenate([quiet, tone, quiet, tone]), RATE_HZ) == 0.64
    assert sounding_s(np.zeros(4000, np.float32), RATE_HZ) == 0
    assert sounding_s(tone[:400], RATE_HZ) == 0.025


def doubting(path: Path, full_s: float) -> tuple[Classifier, Classifier]:
    """A small model, as it is and with logits that count whole only from ``full_s`` on."""
    graph, entry = unpack(path)
    plain = Classifier(Model(pack(graph, entry, ""), "plain"))
    entry["calibration"]["short"] = {"full_s": full_s, "exponent": 0.5}
    return plain, Classifier(Model(pack(graph, entry, ""), "doubting"))


def sharpened(scores: dict[str, float], share: float) -> dict[str, float]:
    """The softmax of ``share`` times the logits that have these scores."""
    powers = {label: score**share for label, score in scores.items()}
    return {label: power / sum(powers.values()) for label, power in powers.items()}


@pytest.mark.parametrize("form", ["window_model", "step_model"])
def test_an_answer_is_as_sure_as_the_speech_is_long(form, request):
    plain, unsure = doubting(request.getfixturevalue(form), 0.512)
    sound = signal("high", 4)
    quiet = np.zeros(8192, np.float32)
    for piece, share in (
        (sound[:2048], 0.5),
        (sound[:8192], 1.0),
        (np.concatenate([sound[:2048], quiet]), 0.5),
    ):
        before, after = plain.classify(piece), unsure.classify(piece)
        assert after.scores == pytest.approx(sharpened(before.scores, share), abs=1e-6)
        scorer = make_scorer(unsure.engine)
        scorer.begin(0)
        live = scorer.score(lambda begin, end, piece=piece: piece[begin:end], 0, len(piece))
        scorer = make_scorer(plain.engine)
        scorer.begin(0)
        surer = scorer.score(lambda begin, end, piece=piece: piece[begin:end], 0, len(piece))
        names = plain.labels
        assert dict(zip(names, live.tolist(), strict=True)) == pytest.approx(
            sharpened(dict(zip(names, surer.tolist(), strict=True)), share), abs=1e-6
        )
    if form == "window_model":  # for the step form, below
        assert unsure.classify(np.tile(sound, 3)) == plain.classify(np.tile(sound, 3))


def test_a_stream_of_steps_grows_surer_until_enough_was_heard(step_model):
    plain, unsure = doubting(step_model, 2.048)
    sound = np.tile(signal("high", 4), 3)
    before, after = plain.classify(sound), unsure.classify(sound)
    assert after.scores == before.scores
    hop_s = plain.model.hop_s
    for place, (one, other) in enumerate(zip(before.segments, after.segments, strict=True)):
        whole_chunks = int((place + 1) * hop_s * RATE_HZ) // 512
        share = Shortness(2.048, 0.5).share(whole_chunks * 512 / RATE_HZ)
        assert other.scores == pytest.approx(sharpened(one.scores, share), abs=1e-6), place


def test_windows_in_which_nobody_speaks_are_no_speech_as_before(window_model):
    _, unsure = doubting(window_model, 0.512)
    assert unsure.classify(np.zeros(9000, np.float32)).label == NO_SPEECH
