"""Profiles and slow adaptation: what they change, what they refuse, and that no sound is in them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_parts import RATE_HZ
from numpy.typing import NDArray

from edge_ser.adaptation import LEANING_PRIOR_S, MEMORY_S, PRIOR_S, Adaptation
from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.enrolment import Stretches, enrol
from edge_ser.errors import ConfigError
from edge_ser.frontend import Frontend, FrontendOptions
from edge_ser.model import Model
from edge_ser.profile import Profile
from edge_ser.vad import SPAN, Span

Sound = NDArray[np.float32]
HELLO = Path(__file__).parent / "data" / "hello.wav"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture
def sound() -> Sound:
    """Half a minute of something with the rhythm of speech: noise through a vowel's resonances."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 1, 30 * RATE_HZ)
    t = np.arange(len(noise)) / RATE_HZ
    ring = np.exp(-400 * t[:400]) * np.cos(2 * np.pi * 700 * t[:400])
    voiced = np.convolve(noise, ring)[: len(noise)] * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))
    return (0.1 * voiced / np.abs(voiced).max()).astype(np.float32)


def enrolled(model: Model, sound: Sound) -> Profile:
    return Profile(model.frontend.as_dict(), Frontend(model.frontend).process(sound).mean(axis=0), 30.0)


def test_a_profile_moves_the_mean_of_the_low_cepstra_to_that_of_the_training_voices(
    model: Model, sound: Sound
) -> None:
    profile = enrolled(model, sound)
    shift = Adaptation(model, profile).shift()
    neutral = np.array(model.record["reference"]["neutral"])
    assert profile.mean[1:6] - shift[1:6] == pytest.approx(neutral[1:6], abs=1e-3)
    assert shift[0] == 0  # the level
    assert not shift[6:].any()  # the pitch
    # Moods move the mean as much as voices do.
    assert not Adaptation(model, replace(profile, any_mood=True)).shift().any()


def test_the_offset_is_followed_slowly_and_what_is_long_ago_fades(model: Model, sound: Sound) -> None:
    adaptation = Adaptation(model)
    whole = Adaptation(model, None).shift()
    assert not whole.any()
    mean = Frontend(model.frontend).process(sound).mean(axis=0)
    target = (mean - np.array(model.record["reference"]["speech"]))[1:6]
    adaptation.hear(sound)
    heard_s = len(sound) / RATE_HZ
    assert adaptation.shift()[1:6] == pytest.approx(target * heard_s / (heard_s + PRIOR_S), rel=0.01)
    for _ in range(40):
        adaptation.hear(sound)
    assert adaptation.shift()[1:6] == pytest.approx(target * MEMORY_S / (MEMORY_S + PRIOR_S), rel=0.01)


def test_without_learning_nothing_is_followed(model: Model, sound: Sound) -> None:
    adaptation = Adaptation(model, enrolled(model, sound), learn=False)
    before = adaptation.shift()
    adaptation.hear(sound)
    assert np.array_equal(adaptation.shift(), before)


def test_what_the_model_leans_to_is_taken_out_of_its_answers(sound: Sound) -> None:
    model = Model.load()
    n = len(model.labels)
    typical, answered = np.arange(n, dtype=np.float64), np.arange(n)[::-1] / 2
    model.record["reference"]["logits"] = {"neutral": typical.tolist(), "speech": [0.0] * n}
    graph = model.record["graph"]["sha256"]
    profile = replace(enrolled(model, sound), graph=graph, logits=answered)
    weight = 30 / (30 + LEANING_PRIOR_S)
    adaptation = Adaptation(model, profile)
    assert adaptation.leaning() == pytest.approx(weight * (answered - typical))
    of_any_mood = replace(profile, any_mood=True)
    assert Adaptation(model, of_any_mood).leaning() == pytest.approx(weight * answered)
    classifier = Classifier(model)
    logits = classifier.engine.window(sound[: model.window_samples])
    plain = classifier.engine.probabilities(logits)
    classifier.engine.adapt(adaptation.shift(), adaptation.leaning())
    moved = classifier.engine.probabilities(logits)
    odds = np.log(moved) - np.log(plain)
    expected = -adaptation.leaning() / model.temperature
    assert odds - odds.mean() == pytest.approx(expected - expected.mean(), abs=1e-4)


@pytest.mark.parametrize("name", ["multi-cnn", "emodb-gru"])
def test_a_profile_holds_the_mean_answer_of_its_own_model(name: str, sound: Sound) -> None:
    engine = Engine(Model.load(name))
    sounds = (sound[: 5 * RATE_HZ], sound[5 * RATE_HZ : 9 * RATE_HZ], sound[: RATE_HZ // 2])
    answers = [each for part in sounds for each in answers_of(Engine(Model.load(name)), part)]
    mean = np.average([logits for logits, _ in answers], axis=0, weights=[n for _, n in answers])
    profile = enrol(engine, sounds, 9.5, any_mood=True)
    assert profile.graph == engine.model.record["graph"]["sha256"]
    assert profile.logits == pytest.approx(mean, abs=1e-5)


def answers_of(engine: Engine, sound: Sound) -> list[tuple[NDArray[np.float32], int]]:
    """Logits of every window or step, and the samples that they are of."""
    if engine.model.form == "step":
        return [(logits, 1) for logits in (*engine.push(sound), *engine.finish())]
    n = engine.model.window_samples
    starts = sorted({*range(0, len(sound) - n + 1, RATE_HZ), max(0, len(sound) - n)})
    pieces = [sound[start : start + n] for start in starts]
    return [(engine.window(piece), len(piece)) for piece in pieces]


def test_what_is_enrolled_is_speech_with_its_short_pauses() -> None:
    stretches = Stretches()
    spoken = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    for place, speech in enumerate(spoken):
        samples = np.full(SPAN, place, np.float32)
        stretches.take(Span((place + 1) * SPAN, bool(speech), -30.0, place * SPAN), samples)
    found = [np.unique(each).tolist() for each in stretches.sounds()]
    assert found == [[1, 2, 3, 4, 5], [12]]
    assert stretches.speech_samples == 4 * SPAN


def test_a_leaning_counts_for_the_model_that_has_it(
    model: Model, sound: Sound, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(enrolled(model, sound), graph="0" * 64, logits=np.ones(len(model.labels)))
    assert not Adaptation(model, other).leaning().any()
    assert "made with another model; enroll with multi-cnn" in caplog.text
    assert not Adaptation(model, enrolled(model, sound)).leaning().any()  # of a former edge_ser


def test_a_leaning_of_another_length_or_without_a_reference_does_no_harm(sound: Sound) -> None:
    model = Model.load()
    own = replace(enrolled(model, sound), graph=model.record["graph"]["sha256"], any_mood=True)
    with pytest.raises(ConfigError, match="has 9 logits, multi-cnn 4 labels; enroll anew"):
        Adaptation(model, replace(own, logits=np.ones(9)))
    for reference in (None, [], {"neutral": [1.0] * 4}, {"speech": [1.0]}):
        model.record["reference"]["logits"] = reference
        assert not Adaptation(model, replace(own, logits=np.ones(4))).leaning().any()


def test_only_sound_is_corrected_not_the_silence_behind_it(model: Model) -> None:
    classifier = Classifier(model)
    piece = np.random.default_rng(1).normal(0, 0.05, RATE_HZ).astype(np.float32)
    plain = classifier.engine.features(piece)[0]
    shift = np.zeros(model.n_features, np.float32)
    shift[1] = 20.0
    classifier.engine.adapt(shift)
    moved = classifier.engine.features(piece)[0]
    sound_frames = RATE_HZ // model.frontend.hop_length - 4
    moved_by = 20.0 * float(model.input_scale[1])
    difference = plain[:sound_frames, 1].astype(float) - moved[:sound_frames, 1]
    inside = (plain[:sound_frames, 1] < 127) & (moved[:sound_frames, 1] > -128)
    assert difference[inside] == pytest.approx(moved_by, abs=1.01)
    assert np.array_equal(plain[:, 2:], moved[:, 2:])
    behind = sound_frames + 7  # the last frames that see sound are centred up to half a window behind it
    assert np.array_equal(plain[behind:], moved[behind:])


def test_no_shift_changes_no_score(model: Model) -> None:
    piece = np.random.default_rng(2).normal(0, 0.05, 2 * RATE_HZ).astype(np.float32)
    plain, adapted = Classifier(model), Classifier(model)
    adapted.engine.adapt(np.zeros(model.n_features, np.float32))
    assert adapted.classify(piece) == plain.classify(piece)


def test_for_mel_bands_the_correction_is_smooth_along_the_bands() -> None:
    options = FrontendOptions(feature="log_mel")
    reference = {"speech": [0.0] * options.n_mels}

    class Bands:
        name, labels, frontend, record = "bands", ["a"], options, {"reference": reference}

    profile = Profile(options.as_dict(), np.linspace(-1, 1, options.n_mels), 30.0)
    shift = Adaptation(Bands(), profile).shift()  # type: ignore[arg-type]
    assert shift == pytest.approx(np.linspace(-1, 1, options.n_mels), abs=0.15)
    flat = Profile(options.as_dict(), np.ones(options.n_mels), 30.0)
    assert Adaptation(Bands(), flat).shift() == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]


def test_enrolling_keeps_statistics_only_and_classifying_takes_them(model: Model, tmp_path: Path) -> None:
    import soundfile

    hello, rate_hz = soundfile.read(HELLO, dtype="float32")  # somebody speaks: noise would be no speech
    soundfile.write(tmp_path / "voice.wav", np.tile(hello, int(30 * rate_hz / len(hello)) + 1), rate_hz)
    path = tmp_path / "me.json"
    command = [sys.executable, "-m", "edge_ser"]
    made = subprocess.run(
        [*command, "enroll", path, tmp_path / "voice.wav", "--any-mood", "--vad=energy", "--seconds=20"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    record = json.loads(path.read_text())
    assert set(record) == {
        "v", "type", "speech_s", "any_mood", "mean", "frontend", "graph_sha256", "logits"
    }  # fmt: skip
    assert record["any_mood"] is True
    assert len(record["mean"]) == model.n_features
    assert 20 <= record["speech_s"] < 21
    told = subprocess.run(
        [*command, "classify", "--json", "--profile", path, tmp_path / "voice.wav"],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    scores = json.loads(told.stdout.splitlines()[0])["scores"]
    expected = Classifier(profile=path).classify(tmp_path / "voice.wav").scores
    assert scores == pytest.approx(expected, abs=1e-4)
    assert scores != pytest.approx(Classifier().classify(tmp_path / "voice.wav").scores, abs=1e-3)


def test_too_little_speech_makes_no_profile(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "quiet.wav", np.zeros(3 * RATE_HZ, np.float32), RATE_HZ)
    command = [sys.executable, "-m", "edge_ser", "enroll", tmp_path / "me.json", tmp_path / "quiet.wav"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 1
    assert "only 0 s of speech, 10 s are needed" in told.stderr
    assert not (tmp_path / "me.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2}', '{"v": 1, "type": "profile", "mean": [NaN]}'])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "me.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="no profile of edge_ser"):
        Profile.load(path)
    with pytest.raises(ConfigError, match="edge-ser enroll"):
        Profile.load(tmp_path / "absent.json")


def test_a_profile_of_another_front_end_and_a_model_without_reference_are_refused(
    model: Model, sound: Sound, window_model: Path
) -> None:
    other = Profile(FrontendOptions().as_dict(), np.zeros(13), 30.0)
    with pytest.raises(ConfigError, match="another front end"):
        Adaptation(model, other)
    with pytest.raises(ConfigError, match="convert it again"):
        Adaptation(Model.load(window_model))


@pytest.mark.parametrize("reference", [[], {}, {"speech": [1.0]}, {"speech": ["a"] * 40}, {"speech": None}])
def test_a_reference_of_another_shape_counts_as_none(reference: object) -> None:
    class Odd:
        name, labels = "odd", ["a"]
        frontend, record = FrontendOptions(feature="log_mel"), {"reference": reference}

    with pytest.raises(ConfigError, match="convert it again"):
        Adaptation(Odd())  # type: ignore[arg-type]
