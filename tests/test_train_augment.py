"""Augmentations change what they say, by the amount they say, and the same way for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from edge_ser.errors import ConfigError
from train.augment import AUGMENTATIONS, build_augment
from train.augment.noise import Noise, Room, coloured_noise, diffuse_room, mixed
from train.augment.speaker import SpeakerMean, Voices
from train.augment.waveform import Band, Excerpt, Gain, Pitch, Speed, resampled, stretched
from train.utterance import Utterance
from train.vad import speech_only

RATE_HZ = 16000


def tone(frequency_hz: float, duration_s: float = 1.0) -> np.ndarray:
    times_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def strongest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(samples)


def a_quiet_and_a_bright_voice() -> Voices:
    """Ten clips of each of two speakers, whose features are (loudness, brightness); half of them neutral."""
    utterances, features = [], []
    for speaker, means in (("quiet", (-1.0, 0.0)), ("bright", (1.0, 4.0))):
        for clip in range(10):
            emotion = "neutral" if clip % 2 else "anger"
            utterances.append(Utterance(f"{speaker}{clip}", "made", speaker, "", "", emotion))
            features.append(np.tile(np.float32(means) + (clip % 2), (5, 1)))
    return Voices(utterances, features)


def test_a_speaker_is_moved_to_the_mean_of_all_and_the_level_stays() -> None:
    voices, always = a_quiet_and_a_bright_voice(), SpeakerMean(1.0, 4, 4)
    rng = np.random.default_rng(0)
    for index, towards in ((0, -2.0), (15, 2.0)):
        drawn = [voices.offset(index, always, rng) for _ in range(200)]
        assert all(each is not None and each[0] == 0.0 for each in drawn)
        # Of neutral clips the distance is exact; of any, how many of each emotion were drawn moves it.
        brightness = np.array([each[1] for each in drawn if each is not None])
        assert brightness.mean() == pytest.approx(towards, abs=0.1)
        assert 0.3 < np.mean(brightness == towards) < 1.0
    assert voices.offset(0, SpeakerMean(0.0), rng) is None
    assert voices.offset(0, SpeakerMean(1.0, 20, 30), rng) is None  # too few others to say


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_the_same_seed_augments_the_same_way_and_leaves_the_original_alone(name: str) -> None:
    (augmentation,) = build_augment({name: {}})
    first, second = np.random.default_rng([1, 2]), np.random.default_rng([1, 2])
    if augmentation.domain == "offset":
        assert augmentation.draw(first) == augmentation.draw(second)
        return
    if augmentation.domain == "speaker":
        voices = a_quiet_and_a_bright_voice()
        np.testing.assert_array_equal(
            voices.offset(0, augmentation, first), voices.offset(0, augmentation, second)
        )
        return
    given = tone(200) if augmentation.domain == "waveform" else np.ones((50, 13), np.float32)
    kept = given.copy()
    arguments = (RATE_HZ,) if augmentation.domain == "waveform" else ()
    results = [augmentation.apply(given, *arguments, rng) for rng in (first, second)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(given, kept)
    assert results[0].dtype == np.float32


def test_noise_has_the_asked_ratio() -> None:
    samples, noise = tone(300), coloured_noise(RATE_HZ, np.random.default_rng(0))
    added = mixed(samples, noise, 10.0) - samples
    ratio_db = 10 * np.log10(np.mean(samples**2) / np.mean(added**2))
    assert ratio_db == pytest.approx(10.0, abs=0.01)


def test_nothing_leaves_full_scale() -> None:
    loud = np.sign(tone(100)) * np.float32(0.99)
    rng = np.random.default_rng(0)
    for augmentation in (Gain(6.0, 6.0), Noise(1.0, 0.0, 0.0), Room(1.0)):
        assert np.abs(augmentation.apply(loud, RATE_HZ, rng)).max() <= 1.0


def test_noise_can_come_from_recordings(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", tone(50, 0.5), RATE_HZ)
    monkeypatch.setenv("EDGE_SER_CORPORA", str(tmp_path))
    noisy = Noise(1.0, 0.0, 0.0, folder="noise").apply(tone(1000), RATE_HZ, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(noisy))
    assert spectrum[50] == pytest.approx(spectrum[1000], rel=0.2)
    with pytest.raises(ConfigError, match="no recordings for augmentation"):
        Noise(1.0, folder="silence").apply(tone(1000), RATE_HZ, np.random.default_rng(0))


def test_speed_moves_pitch_and_duration_together() -> None:
    faster = resampled(tone(400), 1.25)
    assert len(faster) == RATE_HZ * 4 // 5
    assert strongest_hz(faster) == pytest.approx(500, abs=2)
    assert np.array_equal(Speed(probability=0.0).apply(faster, RATE_HZ, np.random.default_rng(0)), faster)


def test_pitch_moves_and_duration_stays() -> None:
    class Up(np.random.Generator):
        def random(self) -> float:  # type: ignore[override]
            return 0.0

        def uniform(self, low: float, high: float) -> float:  # type: ignore[override]
            return high

    moved = Pitch(1.0, max_semitones=12.0).apply(tone(300), RATE_HZ, Up(np.random.PCG64(0)))
    assert len(moved) == RATE_HZ
    assert strongest_hz(moved) == pytest.approx(600, abs=8)
    level = np.sqrt(np.mean(moved[2000:-2000] ** 2)) / np.sqrt(np.mean(tone(300) ** 2))
    assert level == pytest.approx(1.0, abs=0.1)


def test_stretching_keeps_the_pitch() -> None:
    longer = stretched(tone(250), RATE_HZ * 3 // 2, RATE_HZ)
    assert len(longer) == RATE_HZ * 3 // 2
    assert strongest_hz(longer[1000:-1000]) == pytest.approx(250, abs=4)


def test_a_room_decays_by_60_db_in_its_time() -> None:
    response = diffuse_room(0.4, RATE_HZ, np.random.default_rng(0))
    early = np.sum(response[1:321] ** 2)  # 20 ms
    late = np.sum(response[3201:3521] ** 2)  # 200 ms later: half of the time, half of the decibels
    assert 10 * np.log10(early / late) == pytest.approx(30.0, abs=2.0)


def test_a_band_keeps_its_middle_its_level_and_little_else() -> None:
    rng = np.random.default_rng(3)
    white = (0.1 * rng.standard_normal(RATE_HZ)).astype(np.float32)
    hz = np.fft.rfftfreq(RATE_HZ, 1 / RATE_HZ)
    kinds = set()
    for _ in range(30):
        heard = Band(1.0, 300.0, 300.0, 3400.0, 3400.0).apply(white, RATE_HZ, rng)
        assert np.std(heard) == pytest.approx(np.std(white), rel=0.01)
        power = np.abs(np.fft.rfft(heard)) ** 2
        middle = power[(hz > 500) & (hz < 2500)].mean()
        below, above = (power[hz < 100].mean() / middle < 0.1, power[hz > 7000].mean() / middle < 0.1)
        assert below or above
        kinds.add((bool(below), bool(above)))
    assert kinds == {(True, True), (True, False), (False, True)}


def test_an_excerpt_is_a_stretch_of_at_least_the_asked_length() -> None:
    numbered = np.arange(3 * RATE_HZ, dtype=np.float32)
    lengths = []
    for seed in range(40):
        kept = Excerpt(1.0, 1.0).apply(numbered, RATE_HZ, np.random.default_rng(seed))
        np.testing.assert_array_equal(kept, np.arange(kept[0], kept[0] + len(kept)))
        lengths.append(len(kept))
    assert RATE_HZ <= min(lengths) < 1.3 * RATE_HZ and 2.7 * RATE_HZ < max(lengths) <= 3 * RATE_HZ
    assert len(Excerpt(1.0, 4.0).apply(numbered, RATE_HZ, np.random.default_rng(0))) == len(numbered)


def test_a_far_voice_has_more_room_than_voice() -> None:
    response = diffuse_room(0.6, RATE_HZ, np.random.default_rng(1), 3.0, 3.0)
    assert np.sum(response[1:] ** 2) == pytest.approx(9.0 * response[0] ** 2, rel=0.01)


def test_masks_are_no_larger_than_asked() -> None:
    features = np.ones((100, 20), np.float32)
    for seed in range(50):
        (time, band) = build_augment({"time_mask": {"max_frames": 7}, "frequency_mask": {"max_bands": 3}})
        rng = np.random.default_rng(seed)
        frames = np.flatnonzero(time.apply(features, rng)[:, 0] == 0)
        bands = np.flatnonzero(band.apply(features, rng)[0] == 0)
        assert len(frames) <= 7 and len(bands) <= 3
        assert np.array_equal(frames, np.arange(len(frames)) + (frames[0] if len(frames) else 0))


def test_only_speech_is_left_of_a_recording() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    kept = speech_only(np.concatenate([silence, tone(200), silence]), RATE_HZ)
    assert len(kept) == pytest.approx(RATE_HZ * 1.2, abs=400)  # and 100 ms on either side
    assert len(speech_only(silence, RATE_HZ)) == RATE_HZ
    assert len(speech_only(silence[:50], RATE_HZ)) == 50
