"""What a stage costs on ARM does not creep up: its instructions, counted under emulation, are on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(HOME / "benchmarks"))

import arm_counting  # noqa: E402
from arm_instructions import complaints, graphs  # noqa: E402


def test_growth_beyond_five_percent_is_a_complaint():
    recorded = {"cortex-a53": {"frame": 1000, "window": 2000}}
    assert complaints({"cortex-a53": {"frame": 1050, "window": 10}}, recorded) == []
    assert complaints({"cortex-a53": {"frame": 1051, "window": 2000}}, recorded) == [
        "cortex-a53: frame: 1051 instructions, 5.1 % more than the 1000 recorded"
    ]


def test_a_stage_that_is_new_or_gone_is_a_complaint():
    recorded = {"cortex-a53": {"frame": 1000}}
    assert complaints({"cortex-a53": {"hop": 7}}, recorded) == [
        "cortex-a53: hop: 7 instructions, not recorded yet",
        "cortex-a53: frame: recorded, but no longer counted",
    ]


def test_the_record_names_the_graphs_of_the_models_it_has_counts_of():
    recorded = json.loads((HOME / "benchmarks/arm_counts.json").read_text())
    stages = recorded["cortex-a53"]
    counted = {name for name in graphs() if any(stage.endswith(f", {name}") for stage in stages)}
    assert counted and recorded["graphs"].keys() >= counted


def test_nobody_sees_half_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sessions build it side by side; whoever looks meanwhile sees nothing or all of it."""
    slow = tmp_path / "bin" / "cc"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nfor out; do [ "$last" = -o ] && break; last=$out; done\n'
                    'printf half > "$out"; sleep 0.3; printf whole > "$out"\n')  # fmt: skip
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    plugin = tmp_path / "plugin.so"
    monkeypatch.setattr(arm_counting, "PLUGIN", plugin)
    seen = set()
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(arm_counting.build_plugin) for _ in range(2)]
        while not all(each.done() for each in builds):
            if plugin.exists():
                seen.add(plugin.read_text())
            time.sleep(0.01)
    for each in builds:
        each.result()
    assert seen | {plugin.read_text()} == {"whole"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "plugin.so"]


@pytest.mark.skipif(not os.environ.get("EDGE_SER_TEST_ARM"), reason="make test-arm builds the ARM roots")
def test_counts_are_those_on_record():
    command = [sys.executable, HOME / "benchmarks/arm_instructions.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recorded = json.loads((HOME / "benchmarks/arm_counts.json").read_text())
    assert recorded.keys() == {"graphs", "cortex-a53", "cortex-a76"}
