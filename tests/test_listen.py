"""`edge-ser devices` and `edge-ser listen` as commands, and log lines as the journal wants them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from live_parts import RATE_HZ, FileMicrophone, murmur
from small_models import signal

from edge_ser.live.systemd import RateLimit

COMMAND = [sys.executable, "-m", "edge_ser"]


def pcm(label: str, seconds: float, rate_hz: int) -> bytes:
    """A sound that the small model knows, a little silence before and after it, as raw 16-bit PCM."""
    sound = np.concatenate([np.zeros(RATE_HZ), signal(label, 1, seconds), np.zeros(2 * RATE_HZ)])
    at = np.arange(0, len(sound), RATE_HZ / rate_hz)
    return np.rint(np.interp(at, np.arange(len(sound)), sound) * 32767).astype("<i2").tobytes()


def test_devices_are_listed_by_name_with_their_rates(make_microphone: Callable[..., FileMicrophone]) -> None:
    make_microphone(murmur(1, 48000, 2), rate=48000, channels=2)
    text = subprocess.run([*COMMAND, "devices"], capture_output=True, text=True)
    assert text.returncode == 0, text.stderr
    assert "filemic  (ALSA, 2 channels, 48 kHz)" in text.stdout
    assert text.stderr == ""
    as_json = subprocess.run([*COMMAND, "devices", "--json"], capture_output=True, text=True)
    [device] = map(json.loads, as_json.stdout.splitlines())
    assert (device["name"], device["max_channels"], device["rates_hz"]) == ("filemic", 2, [48000])


def test_without_a_microphone_devices_says_what_to_do_with_exit_status_4(
    make_microphone: Callable[..., FileMicrophone],
) -> None:
    make_microphone(murmur(1)).switch("unplug", True)
    said = subprocess.run([*COMMAND, "devices"], capture_output=True, text=True)
    assert said.returncode == 4
    assert "no microphone found; plug one in" in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_raw_pcm_is_heard_from_a_pipe_at_any_rate(window_model: Path, rate_hz: int) -> None:
    options = ["--model", window_model, "--vad", "energy", "--uncertain-below", "0", "--json"]
    said = subprocess.run(
        [*COMMAND, "listen", "-", "--rate", str(rate_hz), *options],
        input=pcm("low", 4, rate_hz), capture_output=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    records = [json.loads(line) for line in said.stdout.splitlines()]
    changes = [(record["previous"], record["label"]) for record in records if record["type"] == "change"]
    assert changes == [("no speech", "low"), ("low", "no speech")]
    assert records[-1]["counters"]["heard_s"] == pytest.approx(7, abs=0.01)


def test_a_recording_is_heard_in_real_time_and_only_news_are_written_where_there_is_no_terminal(
    window_model: Path, tmp_path: Path
) -> None:
    import soundfile

    path = tmp_path / "low.wav"
    soundfile.write(path, np.frombuffer(pcm("low", 3, RATE_HZ), "<i2"), RATE_HZ)
    options = ["--model", window_model, "--vad", "energy", "--uncertain-below", "0"]
    said = subprocess.run([*COMMAND, "listen", path, *options], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    lines = [line.split()[1:] for line in said.stdout.splitlines()]
    assert lines[0] == ["microphone", "listening"]
    assert [line[0] for line in lines[1:]] == ["low", "no"]


def test_lines_for_the_journal_begin_with_their_priority(tmp_path: Path, window_model: Path) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        about = os.fstat(journal.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}
        ended = subprocess.run(
            [*COMMAND, "daemon", "--model", window_model, "--vad", "energy", "--source", "-",
             "--record", tmp_path / "heard.wav"],
            input=pcm("low", 3, RATE_HZ), stdout=subprocess.DEVNULL, stderr=journal, env=environment,
        )  # fmt: skip
        assert ended.returncode == 0
        journal.seek(0)
        lines = journal.read().splitlines()
    assert lines[0].startswith("<4>RECORDING SOUND to ")
    assert any(line.startswith("<6>no speech") for line in lines)
    assert all(line[0] == "<" and line[2] == ">" for line in lines)


def test_a_warning_that_repeats_is_held_back_and_counted() -> None:
    limit, passed = RateLimit(interval_s=0.2), []

    def warn(count: int) -> None:
        record = logging.LogRecord("t", logging.WARNING, "", 0, "overrun %d", (count,), None)
        if limit.filter(record):
            passed.append(record.getMessage())

    for count in range(5):
        warn(count)
    limit._seen = {key: (then - 1, held) for key, (then, held) in limit._seen.items()}  # a second passes
    warn(5)
    assert passed == ["overrun 0", "overrun 5 (4 more in the last 0 s or longer)"]
