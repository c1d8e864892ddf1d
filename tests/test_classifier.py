"""Recordings to predictions: windows, steps, padding, averages, silence, doubt."""

from __future__ import annotations

import doctest
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from small_models import LABELS, RATE_HZ, signal
from wav_bytes import s16, wav

import edge_ser
from edge_ser import AudioError, Classifier
from edge_ser.classifier import cut_windows, is_silent
from edge_ser.model import DEFAULT_MODEL, shipped_models

HELLO = Path(__file__).parent / "data" / "hello.wav"


@pytest.fixture(scope="module")
def classifier(window_model) -> Classifier:
    return Classifier(window_model)


@pytest.fixture(scope="module")
def stepper(step_model) -> Classifier:
    return Classifier(step_model)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seconds", [1.0, 2.3])
def test_a_sound_is_told_by_its_class(classifier, label, seconds):
    prediction = classifier.classify(signal(label, 1234, seconds))
    assert prediction.label == label
    assert prediction.probability == max(prediction.scores.values()) > 0.5
    assert list(prediction.scores) == LABELS
    assert sum(prediction.scores.values()) == pytest.approx(1.0, abs=1e-6)
    assert prediction.duration_s == seconds
    assert prediction.notes == []


def test_path_file_bytes_array_and_rate_give_the_same(classifier, tmp_path):
    samples = signal("high", 5)
    data = wav(s16(samples))
    path = tmp_path / "high.wav"
    path.write_bytes(data)
    ints = np.frombuffer(s16(samples), "<i2")
    wanted = classifier.classify(path)
    for source in (str(path), io.BytesIO(data), ints, ints.astype(np.float32) / 32768):
        assert classifier.classify(source) == wanted
    assert classifier.classify(signal("high", 5), rate_hz=16000).scores == pytest.approx(
        wanted.scores, abs=0.02
    )
    assert classifier.classify(np.repeat(samples, 3), rate_hz=48000).duration_s == 1.0


# --- windows ------------------------------------------------------------------------------------------------


def windows_of(n: int, length=4, hop=3, blocks=1, **options) -> list[tuple[int, list[int]]]:
    audio = np.arange(n, dtype=np.float32)
    cut = cut_windows((audio[i : i + blocks] for i in range(0, n, blocks)), length, hop, **options)
    return [(start, samples.astype(int).tolist()) for start, samples in cut]


def test_windows_are_a_hop_apart_and_the_last_ends_with_the_audio():
    assert windows_of(3) == [(0, [0, 1, 2])]
    assert windows_of(4) == [(0, [0, 1, 2, 3])]
    assert windows_of(5) == [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 4])]
    assert windows_of(7) == [(0, [0, 1, 2, 3]), (3, [3, 4, 5, 6])]
    assert windows_of(8) == [(0, [0, 1, 2, 3]), (3, [3, 4, 5, 6]), (4, [4, 5, 6, 7])]
    assert windows_of(7, hop=4, overlap_last=False) == [(0, [0, 1, 2, 3]), (4, [4, 5, 6])]


@pytest.mark.parametrize("hop", [1, 3, 4])
@pytest.mark.parametrize("blocks", [1, 2, 5, 100])
def test_windows_do_not_depend_on_how_the_audio_arrives(hop, blocks):
    for n in range(1, 30):
        assert windows_of(n, hop=hop, blocks=blocks) == windows_of(n, hop=hop)


def test_a_long_recording_is_the_mean_of_its_windows(classifier):
    samples = np.concatenate([signal("low", 1), signal("noise", 2), signal("high", 3, 0.7)])
    prediction = classifier.classify(samples)
    assert [segment.start_s for segment in prediction.segments] == [0.0, 0.5, 1.0, 1.5, 1.7]
    assert [segment.end_s for segment in prediction.segments] == [1.0, 1.5, 2.0, 2.5, 2.7]
    assert prediction.segments[0].label == "low" and prediction.segments[2].label == "noise"
    for segment in prediction.segments:
        piece = samples[round(segment.start_s * RATE_HZ) : round(segment.end_s * RATE_HZ)]
        assert classifier.classify(piece).scores == segment.scores
    for label in LABELS:
        mean = np.mean([segment.scores[label] for segment in prediction.segments])
        assert prediction.scores[label] == pytest.approx(mean, abs=1e-6)


def test_audio_shorter_than_a_window_is_followed_by_silence(classifier):
    short = signal("low", 8, 0.6)
    padded = np.concatenate([short, np.zeros(RATE_HZ - len(short), np.float32)])
    assert classifier.classify(short).scores == classifier.classify(padded).scores
    [segment] = classifier.classify(short).segments
    assert (segment.start_s, segment.end_s) == (0.0, 0.6)


def test_what_was_classified_before_leaves_no_trace(classifier, stepper):
    for instance in (classifier, stepper):
        wanted = instance.classify(signal("low", 8, 0.6))
        instance.classify(signal("noise", 3, 2.0))
        assert instance.classify(signal("low", 8, 0.6)) == wanted


# --- doubt and silence --------------------------------------------------------------------------------------


def test_below_the_threshold_the_label_is_uncertain_and_the_scores_remain(window_model):
    doubtful = Classifier(window_model)
    wanted = doubtful.classify(signal("low", 1))
    doubtful.model.abstain_below = 1.1
    prediction = doubtful.classify(signal("low", 1))
    assert prediction.label == prediction.segments[0].label == "uncertain"
    assert (prediction.probability, prediction.scores) == (wanted.probability, wanted.scores)


def test_temperature_flattens_probabilities(window_model):
    classifier = Classifier(window_model)
    logits = np.array([2.0, 0.0, -2.0], np.float32)
    classifier.model.temperature = 2.0
    assert classifier.engine.probabilities(logits) == pytest.approx(
        np.exp([1, 0, -1]) / np.exp([1, 0, -1]).sum()
    )
    assert classifier.engine.probabilities(logits * 1e4) == pytest.approx([1, 0, 0])


@pytest.mark.parametrize("level", [0.0, 0.5, -1.0])
def test_digital_silence_is_no_speech_even_with_an_offset(classifier, stepper, level):
    for instance in (classifier, stepper):
        prediction = instance.classify(np.full(40000, level, np.float32))
        assert (prediction.label, prediction.probability, prediction.scores) == ("no speech", 0.0, {})
        assert {segment.label for segment in prediction.segments} == {"no speech"}
        assert prediction.notes[-1] == "digital silence: no speech to classify"


def test_silent_windows_do_not_count(classifier):
    speech = signal("noise", 6)
    prediction = classifier.classify(np.concatenate([np.zeros(RATE_HZ * 3, np.float32), speech]))
    assert [segment.label for segment in prediction.segments].count("no speech") == 5
    assert prediction.label == "noise"


def test_the_last_bit_is_silence_and_a_whisper_is_not():
    bits = np.random.default_rng(0).integers(-1, 2, 1000).astype(np.float32) / 32768
    assert is_silent(bits) and is_silent(np.zeros(0, np.float32))
    assert not is_silent(bits * 4)


def test_notes_tell_what_may_have_cost_accuracy(classifier):
    samples = signal("low", 1, 0.3)
    samples[10] = np.nan
    samples[100:400] = 1.0
    notes = classifier.classify(samples).notes
    assert [note.split(":")[0] for note in notes] == [
        "1 samples were not usable numbers (NaN, infinite, enormous)", "clipped", "only 0.30 s of audio"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source", [np.zeros(0, np.float32), np.zeros((0, 2)), io.BytesIO(b""), "nowhere.wav"]
)
def test_what_is_no_audio_is_an_audio_error(classifier, source):
    with pytest.raises(AudioError):
        classifier.classify(source)


@pytest.mark.parametrize("n", [1, 2, 160, 399, 400, 15999, 16000, 16001])
def test_any_length_gives_finite_scores(classifier, stepper, n):
    noise = np.random.default_rng(n).normal(0, 0.5, n).astype(np.float32) + np.arange(n, dtype=np.float32) % 2
    for instance in (classifier, stepper):
        prediction = instance.classify(noise)
        assert all(0 <= share <= 1 for share in prediction.scores.values())


# --- use ----------------------------------------------------------------------------------------------------


def test_threads_with_a_classifier_each_agree(window_model):
    sounds = [signal(label, seed, 3.0) for seed, label in enumerate(LABELS * 2)]
    wanted = [Classifier(window_model).classify(sound) for sound in sounds]
    found: dict[int, list] = {}

    def work(thread: int) -> None:
        own = Classifier(window_model)
        found[thread] = [own.classify(sound) for sound in sounds]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(4)] == [wanted] * 4


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_has_its_own_labels_and_passes_its_self_test(name):
    classifier = Classifier(name)
    assert classifier.model.name == name and classifier.model.self_test().passed
    prediction = classifier.classify(HELLO)
    assert list(prediction.scores) == classifier.model.labels
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)


def test_without_a_name_the_classifier_takes_the_default_model():
    assert Classifier().model.name == DEFAULT_MODEL == shipped_models()[0]
    assert edge_ser.Classifier is Classifier


@pytest.mark.parametrize("module", ["classifier", "engine", "prediction", "audio", "model"])
def test_the_examples_in_the_docstrings_are_true(module):
    import importlib

    result = doctest.testmod(importlib.import_module(f"edge_ser.{module}"))
    assert result.failed == 0
