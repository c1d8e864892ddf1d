"""Short audio that breaks off is heard again by a model for a window: on the device and in the converter."""

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
from edge_ser.short import breaks_off, filled
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
