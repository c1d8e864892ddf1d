"""``edge-ser classify`` and the dispatcher, as a shell sees them."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_models import LABELS, signal
from wav_bytes import s16, wav

from edge_ser import cli

EDGE_SER = [sys.executable, "-m", "edge_ser"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """low.wav, high.flac, deep/noise.ogg and a text file."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "deep").mkdir()
    for name, label in [("low.wav", "low"), ("high.flac", "high"), ("deep/noise.ogg", "noise")]:
        soundfile.write(folder / name, signal(label, 77, 1.5), 16000)
    (folder / "readme.txt").write_text("no audio")
    return folder


@pytest.fixture
def classify(window_model, capsys):
    """Run the command in this process; (status, standard output, standard error)."""

    def run(*words):
        status = cli.run(["classify", "--model", str(window_model), *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_line_for_each_recording(classify, folder):
    status, out, err = classify(folder / "low.wav", folder / "high.flac")
    assert (status, err) == (0, "")
    first, second = out.splitlines()
    assert (
        "low.wav" in first and "1.50 s  low " in first and "high.flac" in second and "1.50 s  high " in second
    )
    assert "\x1b" not in out and "█" not in out  # nobody is looking


def test_folders_are_searched_and_sorted(classify, folder):
    _, out, _ = classify("--json", folder)
    files = [json.loads(line)["file"] for line in out.splitlines()]
    assert files == [str(folder / name) for name in ("deep/noise.ogg", "high.flac", "low.wav")]


def test_json_lines_follow_their_schema(classify, folder):
    _, out, _ = classify("--json", "--segments", folder / "low.wav")
    record = json.loads(out)
    assert list(record) == [
        "v",
        "type",
        "file",
        "label",
        "probability",
        "scores",
        "duration_s",
        "notes",
        "segments",
    ]
    assert (record["v"], record["type"], record["label"], record["duration_s"]) == (
        1,
        "prediction",
        "low",
        1.5,
    )
    assert list(record["scores"]) == LABELS
    assert [list(segment) for segment in record["segments"]] == [
        ["start_s", "end_s", "label", "probability", "scores"]
    ] * 2
    assert [segment["end_s"] for segment in record["segments"]] == [1.0, 1.5]


def test_top_keeps_the_best_labels(classify, folder):
    _, out, _ = classify("--json", "--top", "2", folder / "high.flac")
    scores = json.loads(out)["scores"]
    assert len(scores) == 2 and next(iter(scores)) == "high" and scores["high"] == max(scores.values())
    _, out, _ = classify("--top", "1", folder / "high.flac")
    assert "noise" not in out and "low" not in out


def test_csv_has_a_header_and_a_row_each(classify, folder):
    _, out, _ = classify("--csv", folder)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["file", "duration_s", "label", "probability", *LABELS, "notes"]
    assert [row["label"] for row in rows] == ["noise", "high", "low"]
    _, out, _ = classify("--csv", "--segments", folder / "low.wav")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["file", "start_s", "end_s", "label", "probability", *LABELS]
    assert [row["start_s"] for row in rows] == ["0.0", "0.5"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_bad_file_costs_the_status_and_not_the_others(classify, folder, tmp_path, jobs):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    inputs = [folder / "low.wav", bad, tmp_path / "missing.wav", tmp_path, folder / "high.flac"]
    status, out, err = classify("--json", "--jobs", jobs, *inputs)
    assert status == 1
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["low", "high"]
    lines = err.splitlines()
    assert (
        len(lines) == 2 + 1 and "bad.wav: not audio" in lines[0] and "missing.wav: no such file" in lines[1]
    )


def test_a_folder_without_recordings_is_named(classify, tmp_path):
    status, out, err = classify(tmp_path)
    assert (status, out) == (1, "") and f"{tmp_path}: cannot be read" in err


def test_many_files_on_many_threads_come_in_order_and_as_from_one(classify, folder):
    inputs = [folder / name for name in ("low.wav", "high.flac", "deep/noise.ogg")] * 20
    one, many = classify("--json", "--jobs", 1, *inputs), classify("--json", "--jobs", 4, *inputs)
    assert one == many and one[1].count("\n") == 60


def test_notes_are_told(classify, tmp_path):
    (tmp_path / "short.wav").write_bytes(wav(s16(signal("low", 1, 0.2))))
    assert "  note: only 0.20 s of audio" in classify(tmp_path / "short.wav")[1]


def test_a_picture_is_drawn(classify, folder, tmp_path):
    status, _, err = classify("--plot", tmp_path / "out.png", folder)
    assert (status, err) == (0, "")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = classify("--plot", tmp_path / "out.nothing", folder / "low.wav")
    assert status == 5 and "the picture cannot be written" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--raw", "x"],
        ["--rate", "16000", "x"],
        ["--json", "--csv", "x"],
        ["--top", "0", "x"],
        [],
        ["--nonsense"],
    ],
)
def test_wrong_usage_is_status_2(classify, words):
    assert classify(*words)[0] == 2


def test_a_model_that_is_none_is_status_3(capsys, folder):
    assert cli.run(["classify", "--model", str(folder / "low.wav"), str(folder / "low.wav")]) == 3
    assert "not a model of edge_ser" in capsys.readouterr().err


def test_an_internal_error_is_a_line_and_its_traceback_is_for_vv(classify, folder, monkeypatch):
    monkeypatch.setattr("edge_ser.classifier.Classifier.classify", lambda *_, **__: 1 / 0)
    status, _, err = classify(folder / "low.wav")
    assert (
        status == 1
        and err.startswith("edge-ser classify: internal error, ZeroDivisionError")
        and err.count("\n") == 1
    )
    with pytest.raises(ZeroDivisionError):
        classify("-vv", folder / "low.wav")


# --- the dispatcher -----------------------------------------------------------------------------------------


def test_help_lists_every_command_and_each_has_its_own(capsys):
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out
    for name, summary in cli.COMMANDS.items():
        assert f"  {name} " in listed and summary in listed
        assert cli.run([name, "--help"]) == 0
        assert f"usage: edge-ser {name}" in capsys.readouterr().out
    assert cli.run([]) == 2


def test_an_unknown_command_is_guessed_at(capsys):
    assert cli.run(["clasify"]) == 2
    assert capsys.readouterr().err == "edge-ser: no command 'clasify'; did you mean classify?\n"


# --- as a process -------------------------------------------------------------------------------------------


def test_standard_input_may_be_wav_flac_or_raw(window_model, folder):
    command = [*EDGE_SER, "classify", "--model", window_model, "--json", "-"]
    for name in ("low.wav", "high.flac"):
        out = subprocess.check_output(command, input=(folder / name).read_bytes())
        assert (json.loads(out)["file"], json.loads(out)["label"]) == ("-", name.partition(".")[0])
    raw = np.repeat(np.frombuffer(s16(signal("low", 9)), "<i2"), 2).tobytes()
    out = subprocess.check_output([*command, "--raw", "--rate", "16000", "--channels", "2"], input=raw)
    assert (json.loads(out)["label"], json.loads(out)["duration_s"]) == ("low", 1.0)


def test_standard_error_is_silent_when_all_is_well(window_model, folder):
    done = subprocess.run(
        [*EDGE_SER, "classify", "--model", window_model, folder / "low.wav"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def on_a_terminal(command, **environment) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, check=True, env={**os.environ, "TERM": "xterm", **environment})
    os.close(theirs)
    out = b""
    try:
        while chunk := os.read(ours, 65536):
            out += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return out.decode()


def test_a_terminal_gets_a_bar_in_colour_unless_no_color_is_set(window_model, folder):
    command = [*EDGE_SER, "classify", "--model", window_model, folder / "low.wav"]
    coloured, plain = on_a_terminal(command), on_a_terminal(command, NO_COLOR="1")
    assert "\x1b[38;5;" in coloured and "████" in coloured
    assert "\x1b" not in plain and "████" in plain


def test_a_reader_that_leaves_early_is_no_traceback(window_model, folder):
    command = [*EDGE_SER, "classify", "--json", "--model", window_model, *[folder / "low.wav"] * 50]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == cli.BROKEN_PIPE


def test_ctrl_c_ends_at_once_and_quietly(window_model, folder):
    command = [*EDGE_SER, "classify", "--json", "--model", window_model, "--raw", "--rate", "16000", "-"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job that a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signals.signal(signals.SIGINT, signals.SIG_DFL),
    )
    process.stdin.write(bytes(64000))
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while "edge_ser" not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)  # until the extension is loaded, Python's own start-up would answer
    time.sleep(0.5)
    process.send_signal(signals.SIGINT)
    assert process.wait(timeout=30) == cli.INTERRUPTED
    assert process.stderr.read() == b""


IMPORTED = """
import sys
from edge_ser import cli
cli.run(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
"""


def imported_by(*words) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_imports_nothing_heavy():
    for words in (["--help"], ["classify", "--help"], ["info", "--help"], ["--version"]):
        assert not imported_by(*words) & {
            "numpy",
            "soundfile",
            "edge_ser._native",
            "zipfile",
            "importlib.metadata",
        }


def test_a_wav_at_the_models_rate_needs_neither_soundfile_nor_soxr(window_model, folder):
    modules = imported_by("classify", "--model", window_model, folder / "low.wav")
    heavy = {"soundfile", "soxr", "scipy", "matplotlib", "tensorflow", "distributed", "importlib.metadata"}
    heavy |= {"asyncio", "concurrent.futures", "logging", "edge_ser.live.events", "edge_ser.live.stream"}
    assert not modules & heavy
    assert "ai_edge_litert.interpreter" in modules
