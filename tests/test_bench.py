"""`edge-ser bench`: it measures every stage, says where it ran, and says when the board was limited."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_ser import bench_report
from edge_ser.bench import Distribution, Settings, measure_apart
from edge_ser.cli import bench as command
from edge_ser.errors import ConfigError, ModelError
from edge_ser.provenance import Conditions, Machine, describe, warnings

QUICK = Settings(num_runs=5, warmup_min_secs=0.0, min_secs=0.0)
CALM = Conditions(governor="ondemand", frequency_mhz=1500.0, temperature_c=52.1, throttled=0)


@pytest.fixture(scope="module")
def pi(tmp_path_factory):
    """The files in which a Raspberry Pi 4 describes itself."""
    root = tmp_path_factory.mktemp("pi")
    for path, text in {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\nCPU revision\t: 3\n",
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:         2000000 kB\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/class/thermal/thermal_zone0/temp": "52108\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_raspberry_pi_is_described(pi):
    machine = Machine.read(pi)
    assert (machine.board, machine.cpu) == ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72")
    assert (machine.memory_mb, machine.os) == (3793, "Debian GNU/Linux 12 (bookworm)")
    conditions = Conditions.read(pi)
    assert conditions == Conditions("ondemand", 1500.0, 52.108, 0x50005)
    assert describe(conditions) == "governor ondemand, 1500 MHz, 52.1 °C, throttling flags 0x50005"


def test_a_machine_that_offers_nothing_is_described_as_such(tmp_path):
    nothing = Conditions.read(tmp_path)
    assert nothing == Conditions(None, None, None, None)
    assert describe(nothing) == "governor, temperature and throttling are not offered by this machine"
    assert warnings(nothing, nothing) == []
    assert Machine.read(tmp_path).board is None


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (0, 0, []),
        (0, 0x4, ["the board was limited during the run: throttled"]),
        (0, 0x10000, ["the board was limited during the run: under-voltage"]),
        (0x20000, 0x20000, ["the board was limited before the run, since it was started: frequency capped"]),
        (0x80008, 0x80000, ["the board was limited during the run: soft temperature limit"]),
    ],
)
def test_throttling_is_told(before, after, sentences):
    assert warnings(replace(CALM, throttled=before), replace(CALM, throttled=after)) == sentences


def test_a_changed_governor_is_told():
    changed = replace(CALM, governor="performance")
    assert warnings(CALM, changed) == ["the governor changed from ondemand to performance during the run"]


def test_percentiles_are_those_of_the_runs():
    times = Distribution.of([milliseconds / 1000 for milliseconds in range(101)])
    assert (times.runs, times.min, times.max) == (101, 0, 100)
    assert [times.p50, times.p90, times.p95, times.p99] == pytest.approx([50, 90, 95, 99])
    assert times.mean == pytest.approx(50)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="--num_runs 0: it must be at least 1"):
        Settings(num_runs=0)


@pytest.mark.parametrize("form", ["window", "step"])
def test_every_stage_is_measured_in_a_process_of_its_own(form, request):
    path = request.getfixturevalue(f"{form}_model")
    result = measure_apart(path, None, replace(QUICK, paced=True, max_secs=1.2))
    assert list(result["stages_ms"]) == ["front_end", "quantise", "invoke", "whole"]
    assert all(stage["runs"] >= 5 for stage in result["stages_ms"].values())
    assert result["stages_ms"]["whole"]["min"] > 0
    arrives_s = {"window": 0.5, "step": 8 * 0.01}[form]
    assert result["arrives_s"] == arrives_s
    whole = result["stages_ms"]["whole"]["p50"]
    assert result["real_time_factor"] == pytest.approx(whole / 1000 / arrives_s)
    assert result["paced"]["runs"] == {"window": 3, "step": 5}[form]
    assert result["cold_start_ms"] > result["imports_ms"] + result["load_ms"]
    assert 10 < result["peak_rss_mb"] < 4000


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(words))


def test_json_holds_machine_conditions_settings_and_results(window_model, capsys):
    quick = ["--num_runs", "3", "--min_secs", "0", "--warmup_min_secs", "0"]
    assert command.run(parsed("--graph", str(window_model), "--json", *quick)) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["v"] == 1
    assert record["settings"]["num_runs"] == 3
    assert set(record) == {"v", "machine", "before", "after", "warnings", "settings", "results"}
    [result] = record["results"]
    assert (result["model"], len(result["graph_sha256"])) == ("small-window", 64)


def test_text_and_row_tell_the_same(window_model, pi):
    result = measure_apart(window_model, None, QUICK)
    hot = replace(CALM, throttled=0x4)
    record = bench_report.as_record(Machine.read(pi), CALM, hot, QUICK, [result])
    text = bench_report.as_text(record)
    assert "x Cortex-A72, 3793 MB" in text
    assert "before: governor ondemand, 1500 MHz, 52.1 °C, throttling flags 0x0" in text
    assert text.endswith("warning: the board was limited during the run: throttled")
    row = bench_report.as_rows(record)
    assert row.startswith("| Raspberry Pi 4 Model B Rev 1.4 | Cortex-A72, ondemand | ")
    assert row.count("|") == bench_report.SUBMIT_HEADER.count("|")
    assert row.endswith("; the board was limited during the run: throttled |")
    assert f"{result['stages_ms']['whole']['p50']:.3f}" in text
    assert f" {result['stages_ms']['whole']['p50']:.3f} ms |" in row


def test_docs_benchmarks_has_a_table_that_the_row_fits_into():
    lines = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text().splitlines()
    begin = lines.index(bench_report.SUBMIT_HEADER)
    rows = [line for line in lines[begin:] if line.startswith("|")]
    assert len(rows) >= 3
    assert {row.count("|") for row in rows} == {bench_report.SUBMIT_HEADER.count("|")}


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.tflite: cannot be read"):
        measure_apart(tmp_path / "missing.tflite", None, QUICK)


def test_an_unknown_runtime_is_one_line(window_model):
    with pytest.raises(ModelError, match="runtime 'onnx' is not known"):
        measure_apart(window_model, "onnx", QUICK)
