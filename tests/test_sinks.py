"""Sinks, one at a time: what they write, and what they do when the world does not answer."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_parts import MosquittoBroker, wait_for

from edge_ser.bars import bar
from edge_ser.errors import ConfigError
from edge_ser.live.events import Change, Event, HopChanged, MicrophoneState, Overrun, Status, Window
from edge_ser.live.recording import Recorder
from edge_ser.live.sinks.jsonl import JsonLinesSink
from edge_ser.live.sinks.mqtt import QUEUE, Broker, MqttSink
from edge_ser.live.sinks.page import PageSink
from edge_ser.live.sinks.terminal import TerminalSink
from edge_ser.live.sinks.textfile import TextfileSink

LABELS = ["anger", "neutral", "sadness"]
SCORES = {"anger": 0.7, "neutral": 0.2, "sadness": 0.1}
COUNTERS = {
    "uptime_s": 12.0, "heard_s": 11.5, "lost_s": 0.5, "windows": 23, "scored": 9,
    "changes": 2, "overruns": 1, "recoveries": 0, "sink_errors": 0,
}  # fmt: skip
WINDOW = Window(3.5, 0.5, 3.5, "anger", 0.7, SCORES, SCORES, -31.2, 0.5)
CHANGE = Change(3.5, "anger", "no speech", 0.7, SCORES)
STATUS = Status(11.5, "anger", 0.7, SCORES, "listening", "USB mic", -31.2, 0.5, COUNTERS)
OTHERS: list[Event] = [
    MicrophoneState(0.0, "listening", "USB mic"),
    Overrun(4.0, 1, 0.5),
    HopChanged(5.0, 1.0, 0.8),
]


def test_a_json_line_holds_version_type_and_every_field_of_the_event() -> None:
    out = io.StringIO()
    sink = JsonLinesSink(out)
    for event in (WINDOW, CHANGE, STATUS, *OTHERS):
        sink.handle(event)
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [record["type"] for record in records] == [
        "window",
        "change",
        "status",
        "microphone",
        "overrun",
        "hop",
    ]
    assert all(record["v"] == 1 and re.fullmatch(r"\d{4}-.*\+00:00", record["at"]) for record in records)
    assert records[1] | {"at": 0} == {
        "v": 1, "type": "change", "time_s": 3.5, "label": "anger", "previous": "no speech",
        "probability": 0.7, "scores": SCORES, "at": 0,
    }  # fmt: skip


def test_single_windows_are_left_out_of_the_json_lines_on_request() -> None:
    out = io.StringIO()
    JsonLinesSink(out, windows=False).handle(WINDOW)
    assert out.getvalue() == ""


def test_a_bar_is_as_long_as_its_share_to_an_eighth_of_a_column() -> None:
    assert bar(0.0, 10) == " " * 10
    assert bar(1.0, 10) == "█" * 10
    assert bar(0.55, 10) == "█████▌    "


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_terminal_view_shows_the_label_the_bars_and_what_was_announced() -> None:
    out = Terminal()
    sink = TerminalSink(LABELS, "emodb-cnn", out)
    for event in (*OTHERS, STATUS, CHANGE, WINDOW, WINDOW):
        sink.handle(event)
    sink.close()
    frame = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue().rpartition("\x1b[2K edge_ser")[2])
    assert "ANGER  70%" in frame
    assert re.search(r"sadness +█+\S* +10%", frame)
    assert "-31 dB" in frame
    assert "2 windows, 2 with speech · 1 overruns" in frame
    assert "overrun 1, about 0.50 s lost" in frame
    assert out.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_without_a_terminal_only_announcements_are_written_without_colours() -> None:
    out = io.StringIO()
    sink = TerminalSink(LABELS, "emodb-cnn", out)
    for event in (WINDOW, CHANGE, STATUS):
        sink.handle(event)
    assert out.getvalue() == "0:00:03  anger  70%\n"


def test_the_metrics_file_is_in_prometheus_format_and_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "edge_ser.prom"
    TextfileSink(path).handle(STATUS)
    text = path.read_text()
    assert "edge_ser_windows_total 23\n" in text
    assert "edge_ser_lost_seconds_total 0.5\n" in text
    assert 'edge_ser_microphone{state="listening"} 1\n' in text
    assert 'edge_ser_probability{label="neutral"} 0.2\n' in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"\})? [-0-9.e+]+', line), line
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_metrics_and_no_rest_behind(tmp_path: Path) -> None:
    """On a real file system without space: a tmpfs of one page, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    program = tmp_path / "program.py"
    program.write_text(f"""
import pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_sinks import STATUS
from edge_ser.live.sinks.textfile import TextfileSink
path = pathlib.Path({str(disk)!r}) / "edge_ser.prom"
TextfileSink(path).handle(STATUS)
before = path.read_text()
(path.parent / "filler").write_bytes(bytes(8192))
try:
    TextfileSink(path).handle(STATUS)
except OSError as error:
    print(error.strerror, path.read_text() == before, sorted(p.name for p in path.parent.iterdir()))
""")
    said = in_mount_namespace(f"mount -t tmpfs -o size=12k none {disk} && exec {sys.executable} {program}")
    assert said == "No space left on device True ['edge_ser.prom', 'filler']\n"


def in_mount_namespace(command: str) -> str:
    if subprocess.run(["unshare", "--map-root-user", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")
    namespace = ["unshare", "--map-root-user", "-m", "sh", "-c", command]
    return subprocess.run(namespace, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_a_recording_stops_at_its_size_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import numpy as np
    import soundfile

    path = tmp_path / "heard.wav"
    recorder = Recorder(path, 16000, max_mb=0.01)
    for _ in range(10):
        recorder.write(np.full(1600, 0.25, np.float32))
    recorder.close()
    samples, rate_hz = soundfile.read(path)
    assert (len(samples), rate_hz) == (5000, 16000)
    assert set(samples) == {0.25}
    assert f"RECORDING SOUND to {path}" in caplog.text
    assert "the size limit is reached" in caplog.text


def test_a_recording_in_a_place_that_cannot_be_written_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"--record /proc/heard\.wav"):
        Recorder(Path("/proc/heard.wav"), 16000, 1.0)


class Subscriber:
    """What a broker hands to Home Assistant: (topic, payload, retained), through a client of its own."""

    def __init__(self, broker: MosquittoBroker, **login: str) -> None:
        import paho.mqtt.client as paho

        self.messages: list[tuple[str, Any, bool]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="home-assistant", clean_session=False
        )
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        text = message.payload.decode()
        payload = json.loads(text) if text.startswith("{") else text
        self.messages.append((message.topic, payload, message.retain))

    def latest(self, topic: str) -> Any:
        return next((payload for at, payload, _ in reversed(self.messages) if at == topic), None)

    def all(self, topic: str) -> list[Any]:
        return [payload for at, payload, _ in self.messages if at == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def mqtt_sink(broker: MosquittoBroker, user: str | None = None, password: str | None = None) -> MqttSink:
    return MqttSink(
        Broker("127.0.0.1", broker.port, user, password),
        name="Living Room", labels=LABELS, model="emodb-cnn", version="0.1.0", heartbeat_s=30,
    )  # fmt: skip


MakeBroker = Callable[..., MosquittoBroker]
BASE = "edge_ser/living_room"


def test_home_assistant_discovers_the_sensors_and_hears_states_and_changes(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.start()
    sink = mqtt_sink(broker)
    wait_for(sink._client.is_connected)
    home_assistant = Subscriber(broker)
    sink.handle(STATUS)
    sink.handle(CHANGE)
    wait_for(lambda: home_assistant.all(f"{BASE}/event"))
    config = home_assistant.latest("homeassistant/sensor/edge_ser_living_room/emotion/config")
    assert config["device_class"] == "enum"
    assert config["options"] == [*LABELS, "uncertain", "no speech"]
    assert config["state_topic"] == f"{BASE}/state"
    assert config["availability_topic"] == f"{BASE}/availability"
    assert config["expire_after"] == 90
    assert config["device"]["name"] == "Living Room"
    kinds = {
        topic.split("/")[3] for topic, _, _ in home_assistant.messages if topic.startswith("homeassistant/")
    }
    assert kinds == {"emotion", "probability", "speech", "microphone", "level", "overruns", "windows"}
    wait_for(lambda: home_assistant.latest(f"{BASE}/state"))
    state = home_assistant.latest(f"{BASE}/state")
    assert (state["label"], state["scores"], state["counters"]["windows"]) == ("anger", SCORES, 23)
    assert home_assistant.latest(f"{BASE}/event")["label"] == "anger"
    assert home_assistant.latest(f"{BASE}/availability") == "online"
    sink.close()
    wait_for(lambda: home_assistant.latest(f"{BASE}/availability") == "offline")
    home_assistant.close()


def test_events_wait_while_the_broker_is_away_the_newest_are_kept(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.start()
    Subscriber(broker).close()  # from now on the broker keeps its messages
    broker.stop()
    sink = mqtt_sink(broker)
    sink.handle(STATUS)
    for number in range(QUEUE + 50):
        sink.handle(Change(float(number), "anger", "neutral", 0.7, SCORES))
    assert sink.dropped == 50
    broker.start()
    home_assistant = Subscriber(broker)
    wait_for(lambda: len(home_assistant.all(f"{BASE}/event")) == QUEUE)
    assert [event["time_s"] for event in home_assistant.all(f"{BASE}/event")] == list(range(50, QUEUE + 50))
    home_assistant.close()
    sink.close()


def test_a_broker_that_stops_and_starts_is_found_again(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.start()
    Subscriber(broker).close()
    sink = mqtt_sink(broker)
    sink.handle(STATUS)
    for _ in range(2):
        wait_for(sink._client.is_connected)
        broker.stop()
        wait_for(lambda: not sink._client.is_connected())
        sink.handle(CHANGE)
        broker.start()
        home_assistant = Subscriber(broker)
        wait_for(lambda: home_assistant.all(f"{BASE}/event"))  # noqa: B023
        assert home_assistant.latest(f"{BASE}/availability") == "online"
        home_assistant.close()
    sink.close()


def test_a_wrong_password_is_said_and_tried_again_and_nothing_else_happens(
    make_broker: MakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(users={"pi": "raspberry"})
    broker.start()
    sink = mqtt_sink(broker, "pi", "wrong")
    wait_for(lambda: "refuses us" in caplog.text)
    sink.handle(STATUS)
    sink.handle(CHANGE)
    assert not sink._client.is_connected()
    sink.close()
    right = mqtt_sink(broker, "pi", "raspberry")
    wait_for(right._client.is_connected)
    right.close()


def test_saying_goodbye_to_a_broker_that_never_was_ends_the_thread(make_broker: MakeBroker) -> None:
    sink = mqtt_sink(make_broker())
    sink.handle(CHANGE)
    sink.close()
    wait_for(lambda: sink._client._thread is None)


def test_openssl_is_loaded_only_for_tls_and_also_later(make_broker: MakeBroker) -> None:
    plain, encrypted = make_broker(), make_broker(tls=True)
    for broker in (plain, encrypted):
        broker.start()
    script = """if True:
        import sys, time
        from edge_ser.live.sinks.mqtt import Broker, MqttSink
        from edge_ser.live.sinks.page import PageSink
        PageSink("0", name="n", labels=["anger"], model="m")
        for port, tls in ((int(sys.argv[1]), False), (int(sys.argv[2]), True)):
            broker = Broker("localhost", port, tls=tls)
            sink = MqttSink(broker, name="n", labels=["anger"], model="m", version="1", heartbeat_s=1)
            while not sink._client.is_connected():
                time.sleep(0.02)
            with open("/proc/self/maps") as maps:
                print(tls, "libssl" in maps.read())
            sink.close()
    """
    command = [sys.executable, "-c", script, str(plain.port), str(encrypted.port)]
    trusting = {**os.environ, "SSL_CERT_FILE": str(encrypted.certificate)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=trusting)
    assert run.stdout == "False False\nTrue True\n", run.stderr


def test_a_broker_that_nobody_vouches_for_gets_nothing(
    make_broker: MakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(tls=True)
    broker.start()
    sink = MqttSink(
        Broker("localhost", broker.port, tls=True),
        name="n", labels=LABELS, model="m", version="1", heartbeat_s=30,
    )  # fmt: skip
    wait_for(lambda: "does not answer" in caplog.text)
    assert not sink._client.is_connected()
    sink.close()


@pytest.mark.long
@pytest.mark.parametrize("name", ["json", "page", "metrics", "mqtt"])
def test_eight_hours_of_events_stay_nowhere(name: str, tmp_path: Path, make_broker: MakeBroker) -> None:
    """Half-second windows, a status a second, a change every four: a byte kept of each would be 90 KB."""
    broker = make_broker()
    if name == "mqtt":
        broker.start()
    with Path("/dev/null").open("w") as nowhere:
        sink: Any = {
            "json": lambda: JsonLinesSink(nowhere),
            "page": lambda: PageSink("127.0.0.1:0", name="long", labels=LABELS, model="m"),
            "metrics": lambda: TextfileSink(tmp_path / "edge_ser.prom"),
            "mqtt": lambda: mqtt_sink(broker),
        }[name]()
        if name == "mqtt":
            wait_for(sink._client.is_connected)
        resident = []
        for number in range(8 * 7200):
            at_s = number * 0.5
            events: list[Event] = [replace(WINDOW, time_s=at_s, start_s=at_s, probability=number % 97 / 97)]
            if number % 2:
                events.append(replace(STATUS, time_s=at_s, counters={**COUNTERS, "windows": number}))
            if number % 8 == 0:
                events.append(replace(CHANGE, time_s=at_s))
            for event in events:
                sink.handle(event)
            if number % 120 == 119 and name == "mqtt":
                wait_for(lambda: not sink._client._out_packet)
            if number % 1200 == 1199:  # ten minutes
                with Path("/proc/self/statm").open() as statm:
                    resident.append(int(statm.read().split()[1]) * 4)
        sink.close()
    grown, late = resident[-1] - resident[0], resident[-1] - resident[23]
    print(f"\n{name}: {grown} KiB in eight hours, {late} of them in the last four")
    assert grown < 80  # KiB, after the first ten minutes
