"""The service, as a process of its own, with real hardware faults, a real broker and systemd's protocol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_parts import FileMicrophone, MosquittoBroker, Service, murmur, wait_for

from edge_ser.cli.daemon import add_arguments, read_settings
from edge_ser.errors import ConfigError
from edge_ser.live.config import ConfigParser

MakeMicrophone = Callable[..., FileMicrophone]
Start = Callable[..., Service]


@pytest.fixture
def model(window_model: Path) -> list[str]:
    """Arguments for a small model that hears the level alone."""
    return ["--model", str(window_model), "--vad", "energy", "--hop-s", "0.25"]


def states(service: Service) -> list[str]:
    return [record["state"] for record in service.records("microphone")]


def windows(service: Service) -> float:
    return float(max((record["counters"]["windows"] for record in service.records("status")), default=0))


def settings(folder: Path, text: str, *arguments: str) -> Any:
    path = folder / "edge-ser.toml"
    path.write_text(text)
    parser = ConfigParser()
    add_arguments(parser)
    return read_settings(parser.parse_args(["--config", str(path), *arguments]))


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    text = 'hop-s = 0.25\njson = true\n[mqtt]\nhost = "broker"\nport = 1884\n'
    given = settings(tmp_path, text, "--hop-s", "1.5")
    assert (given.hop_s, given.json, given.mqtt_host, given.mqtt_port, given.vad) == (
        1.5,
        True,
        "broker",
        1884,
        "auto",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hops = 1", r"unknown key 'hops'; did you mean 'hop-s'\?"),
        ('[mqtt]\nhots = "a"', r"unknown key 'mqtt-hots'; did you mean 'mqtt-host'\?"),
        ("zzzz = 1", "unknown key 'zzzz'; --help lists them"),
        ('hop-s = "fast"', "argument --hop-s: invalid float value: 'fast'"),
        ("json = 1", "json is true or false, not 1"),
        ("name = [1]", "name takes one string or number"),
        ("name = ", "not TOML"),
        ('config = "other.toml"', "unknown key 'config'"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        settings(tmp_path, text)


def test_the_example_configuration_is_right() -> None:
    example = Path(__file__).parent.parent / "packaging" / "edge-ser.toml"
    parser = ConfigParser()
    add_arguments(parser)
    read_settings(parser.parse_args(["--config", str(example)]))


def test_check_config_says_what_is_wrong_with_exit_status_5(tmp_path: Path) -> None:
    path = tmp_path / "edge-ser.toml"
    command = [sys.executable, "-m", "edge_ser", "daemon", "--check-config", "--config", str(path)]
    path.write_text("hop = 1")
    wrong = subprocess.run(command, capture_output=True, text=True)
    assert wrong.returncode == 5
    assert wrong.stderr.count("\n") == 1
    path.write_text("hop-s = 1")
    right = subprocess.run(command, capture_output=True, text=True)
    assert (right.returncode, right.stderr) == (0, "")


def test_the_service_says_ready_feeds_the_watchdog_and_ends_cleanly(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    make_microphone(murmur(3))
    service = start_daemon(*model, watchdog_s=2)
    wait_for(lambda: service.told("WATCHDOG=1") >= 3)
    assert service.notes[0] == "READY=1"
    assert service.told("STATUS=microphone listening: filemic") >= 1
    begin_s = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin_s < 2  # the promise, not a measurement
    assert service.told("STOPPING=1") == 1
    assert states(service) == ["listening"]
    assert service.records("status")[-1]["counters"]["overruns"] == 0


def test_a_stopped_process_no_longer_feeds_the_watchdog(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    make_microphone(murmur(3))
    service = start_daemon(*model, watchdog_s=1)
    wait_for(lambda: service.told("WATCHDOG=1") >= 2)
    service.process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    fed = service.told("WATCHDOG=1")
    time.sleep(1.5)
    assert service.told("WATCHDOG=1") == fed  # systemd would now have ended it
    service.process.send_signal(signal.SIGCONT)
    wait_for(lambda: service.told("WATCHDOG=1") > fed)


def test_a_service_manager_that_does_not_read_stops_nothing(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    make_microphone(murmur(3))
    service = start_daemon(*model, "--heartbeat-s", "1", watchdog_s=0.4)  # ten notes a second fill the socket
    wait_for(lambda: windows(service) > 30, within_s=30)
    assert service.told("WATCHDOG=1") >= 5
    assert service.stop() == 0


def test_a_worker_that_hears_nothing_new_does_not_feed_the_watchdog(
    start_daemon: Start, model: list[str]
) -> None:
    """Alive, but no window and no poll: standard input that nobody writes to is only polled."""
    reading, writing = os.pipe()
    os.close(writing)
    service = start_daemon(*model, "--source", "-", watchdog_s=1)
    assert service.process.wait(20) == 0  # an empty pipe is finished at once
    os.close(reading)
    assert service.told("WATCHDOG=1") <= 1


def test_unplugging_is_told_to_everybody_and_survived(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    hardware = make_microphone(murmur(3))
    service = start_daemon(*model, watchdog_s=4)
    for times in range(1, 4):
        wait_for(lambda: states(service).count("listening") == times)  # noqa: B023
        hardware.switch("unplug", True)
        wait_for(lambda: states(service).count("absent") == times)  # noqa: B023
        hardware.switch("unplug", False)
    wait_for(lambda: states(service).count("listening") == 4, within_s=5)
    assert service.told("STATUS=microphone absent") >= 3
    assert service.stop() == 0
    assert service.records("status")[-1]["counters"]["recoveries"] == 3
    said = service.errors.read_text().splitlines()  # PortAudio's own lines about it are for -vv
    assert [line for line in said if not line.startswith("edge-ser: microphone ")] == []


def test_an_absent_microphone_at_the_start_keeps_the_service_ready_and_the_watchdog_fed(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    hardware = make_microphone(murmur(3))
    hardware.switch("unplug", True)
    service = start_daemon(*model, watchdog_s=4)
    wait_for(lambda: states(service) == ["absent"] and service.told("READY=1"))
    wait_for(lambda: service.told("WATCHDOG=1") >= 2)
    hardware.switch("unplug", False)
    wait_for(lambda: states(service) == ["absent", "listening"], within_s=5)


def test_ten_seconds_of_digital_silence_are_reported_and_so_is_their_end(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    make_microphone(bytes(2 * 16000 * 12 * 4) + murmur(4) * 4, speed=4)
    service = start_daemon(*model)
    wait_for(lambda: states(service) == ["listening", "silent", "listening"], within_s=25)
    silent = service.records("microphone")[1]
    assert silent["reason"] == "digital silence for 10 s: muted or unplugged?"
    assert silent["time_s"] == pytest.approx(10, abs=0.5)


def test_overruns_are_counted_mark_their_windows_and_end_nothing(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    make_microphone(murmur(3), overrun_every=8000)
    service = start_daemon(*model, "--json-windows")
    wait_for(lambda: len(service.records("overrun")) >= 8)
    assert service.stop() == 0
    told = [record["count"] for record in service.records("overrun")]
    assert told == list(range(1, len(told) + 1))
    assert any(window["affected"] for window in service.records("window") if window["window_scores"])
    warnings = service.errors.read_text().count("overrun")
    assert warnings == 1  # the others are counted, not repeated


def test_a_driver_that_hangs_leads_to_a_new_process_with_the_same_id(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str]
) -> None:
    hardware = make_microphone(murmur(3))
    service = start_daemon(*model)
    wait_for(lambda: states(service) == ["listening"])
    hardware.switch("hang", True)
    hardware.switch("stuck", True)
    wait_for(lambda: "starting again in a new process" in service.errors.read_text())
    hardware.switch("stuck", False)
    hardware.switch("hang", False)
    wait_for(lambda: states(service)[-1] == "listening" and service.told("READY=1") == 2)
    assert service.process.poll() is None
    assert service.stop() == 0


def test_hangup_reloads_the_configuration_and_a_wrong_one_changes_nothing(
    make_microphone: MakeMicrophone, start_daemon: Start, window_model: Path, tmp_path: Path
) -> None:
    make_microphone(murmur(3))
    config = tmp_path / "edge-ser.toml"
    text = f'model = "{window_model}"\nvad = "energy"\nheartbeat-s = 1\n'
    config.write_text(text + "hop-s = 0.5\n")
    service = start_daemon("--config", str(config))
    wait_for(lambda: service.records("status"))
    config.write_text(text + "hop-s = 0.25\n")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.records("status")[-1]["hop_s"] == 0.25)
    assert service.told("RELOADING=1") == 1
    config.write_text(text + "hop = 1\n")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in service.errors.read_text())
    wait_for(lambda: service.told("READY=1") == 3)
    count = len(service.records("status"))
    wait_for(lambda: len(service.records("status")) > count)
    assert service.records("status")[-1]["hop_s"] == 0.25
    assert service.stop() == 0


def test_the_wall_clock_may_jump_by_years_and_no_window_is_lost(
    make_microphone: MakeMicrophone, start_daemon: Start, model: list[str], tmp_path: Path
) -> None:
    """The clock of the service alone is moved, by a library that answers its questions about the time."""
    library = tmp_path / "clock.so"
    source = Path(__file__).parent / "alsa" / "moved_clock.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    shift = tmp_path / "shift"
    shift.write_text("0")
    make_microphone(murmur(3))
    service = start_daemon(*model, "--json-windows", LD_PRELOAD=str(library), CLOCK_SHIFT_FILE=str(shift))
    years = []
    for year_s in (0, 366 * 86400, -366 * 86400):
        shift.write_text(str(year_s))
        count = len(service.records("window"))
        wait_for(lambda: len(service.records("window")) >= count + 8)  # noqa: B023
        years.append(int(service.records("window")[-1]["at"][:4]))
    assert service.stop() == 0
    assert years[1] > years[0] > years[2]
    times = [window["time_s"] for window in service.records("window")]
    assert times == [pytest.approx(0.25 * (n + 1)) for n in range(len(times))]


def test_a_machine_that_was_busy_widens_the_hop_until_the_backlog_is_gone(
    start_daemon: Start, model: list[str], tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    recording = tmp_path / "murmur.wav"
    soundfile.write(recording, np.frombuffer(murmur(40), "<i2"), 16000)
    service = start_daemon(*model, "--json-windows", "--source", str(recording))
    wait_for(lambda: len(service.records("window")) >= 4)
    service.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    service.process.send_signal(signal.SIGCONT)
    wait_for(lambda: service.records("hop") and service.records("hop")[-1]["hop_s"] == 0.25, within_s=30)
    hops = [record["hop_s"] for record in service.records("hop")]
    assert hops[0] == 0.5
    assert service.records("hop")[0]["backlog_s"] > 0.25
    assert "deciding every 0.5 s" in service.errors.read_text()
    times = [window["time_s"] for window in service.records("window")]
    assert times == sorted(set(times))


def test_the_broker_stops_and_starts_and_the_service_goes_on(
    make_microphone: MakeMicrophone,
    start_daemon: Start,
    model: list[str],
    make_broker: Callable[..., MosquittoBroker],
) -> None:
    make_microphone(murmur(3))
    broker = make_broker()
    service = start_daemon(*model, "--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port))
    wait_for(lambda: "does not answer" in service.errors.read_text())
    for times in range(1, 3):
        broker.start()
        wait_for(lambda: service.errors.read_text().count("connected") == times)  # noqa: B023
        broker.stop()
    assert states(service) == ["listening"]
    assert service.stop() == 0


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[str], Path]:
    """A Python whose /…/disk is a tmpfs with these mount options; skipped where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["unshare", "--map-root-user", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not allowed here")

    def make(options: str) -> Path:
        python = tmp_path / "python-on-disk"
        mounted = f"mount -t tmpfs -o {options} none {disk} && exec {sys.executable}"
        python.write_text(f'#!/bin/sh\nexec unshare --map-root-user -m sh -c \'{mounted} "$@"\' sh "$@"\n')
        python.chmod(0o755)
        return python

    return make


def still_listening(service: Service) -> bool:
    count = len(service.records("status"))
    wait_for(lambda: len(service.records("status")) >= count + 2)
    return states(service) == ["listening"] and service.records("status")[-1]["counters"]["windows"] > 0


def test_a_full_disk_ends_the_recording_and_loses_metrics_but_not_the_service(
    make_microphone: MakeMicrophone,
    start_daemon: Start,
    model: list[str],
    on_disk: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Two pages hold a quarter of a second of sound."""
    make_microphone(murmur(3))
    files = ["--record", f"{tmp_path}/disk/heard.wav", "--metrics-file", f"{tmp_path}/disk/edge_ser.prom"]
    service = start_daemon(*model, *files, "--heartbeat-s", "1", python=str(on_disk("size=8k")))
    for said in (
        f"recording to {tmp_path}/disk/heard.wav stopped: No space left on device",
        "TextfileSink: [Errno 28] No space left on device",
    ):
        wait_for(lambda: said in service.errors.read_text())  # noqa: B023
    assert still_listening(service)
    assert service.stop() == 0
    assert service.records("status")[-1]["counters"]["sink_errors"] >= 2


def test_a_read_only_disk_takes_no_metrics_and_does_not_end_the_service(
    make_microphone: MakeMicrophone,
    start_daemon: Start,
    model: list[str],
    on_disk: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    make_microphone(murmur(3))
    metrics = ["--metrics-file", f"{tmp_path}/disk/edge_ser.prom", "--heartbeat-s", "1"]
    service = start_daemon(*model, *metrics, python=str(on_disk("ro")))
    wait_for(lambda: "TextfileSink: [Errno 30] Read-only file system" in service.errors.read_text())
    assert still_listening(service)
    assert service.stop() == 0
    assert service.records("status")[-1]["counters"]["sink_errors"] >= 2


def test_a_recording_on_a_read_only_disk_is_refused_at_the_start(
    start_daemon: Start, model: list[str], on_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    path = f"{tmp_path}/disk/heard.wav"
    service = start_daemon(*model, "--source", "-", "--record", path, python=str(on_disk("ro")))
    assert service.process.wait(20) == 5
    assert f"--record {path}: Read-only file system; choose a place" in service.errors.read_text()


def test_a_broker_that_is_away_for_the_whole_run_costs_nothing(
    make_microphone: MakeMicrophone,
    start_daemon: Start,
    model: list[str],
    make_broker: Callable[..., MosquittoBroker],
) -> None:
    make_microphone(murmur(3))
    port = make_broker().port  # never started
    service = start_daemon(*model, "--mqtt-host", "127.0.0.1", "--mqtt-port", str(port), "--heartbeat-s", "1")
    wait_for(lambda: "does not answer" in service.errors.read_text() and windows(service) > 12)
    assert states(service) == ["listening"]
    assert service.stop() == 0
    assert service.records("status")[-1]["counters"]["sink_errors"] == 0


def test_nothing_is_written_and_no_packet_leaves(
    make_microphone: MakeMicrophone, model: list[str], tmp_path: Path
) -> None:
    """In a network namespace without any interface, watched by strace where it is installed."""
    import shutil

    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    make_microphone(murmur(3))
    trace = tmp_path / "trace"
    command = [
        "unshare", "--map-root-user", "--net", strace, "-f", "-qq", "-o", str(trace),
        "-e", "trace=openat,open,creat,socket,connect,sendto,sendmsg,mkdir,rename,unlink",
        "timeout", "--signal=TERM", "6", sys.executable, "-m", "edge_ser", "daemon", *model,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode in (0, 124), ended.stderr
    assert "microphone" not in ended.stderr
    calls = trace.read_text().splitlines()
    written = [call for call in calls if "O_WRONLY" in call or "O_RDWR" in call or "O_CREAT" in call]
    harmless = ("/dev/null", "/dev/tty", "/dev/snd", "/dev/shm", "/proc/self", "ENOENT", "ENXIO")
    assert [call for call in written if not any(part in call for part in harmless)] == []
    assert [call for call in calls if "AF_INET" in call or "AF_NETLINK" in call] == []


@pytest.mark.long
def test_the_service_survives_a_hundred_unpluggings_with_the_broker_flapping(
    make_microphone: MakeMicrophone,
    start_daemon: Start,
    model: list[str],
    make_broker: Callable[..., MosquittoBroker],
) -> None:
    hardware = make_microphone(murmur(3))
    broker = make_broker()
    service = start_daemon(*model, "--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port), watchdog_s=6)
    for times in range(1, 101):
        wait_for(lambda: states(service).count("listening") == times, within_s=5)  # noqa: B023
        broker.start() if times % 10 == 5 else None
        hardware.switch("unplug", True)
        wait_for(lambda: states(service).count("absent") == times)  # noqa: B023
        hardware.switch("unplug", False)
        broker.stop() if times % 10 == 9 else None
    wait_for(lambda: states(service).count("listening") == 101, within_s=5)
    assert service.stop() == 0
    assert service.records("status")[-1]["counters"]["recoveries"] == 100
