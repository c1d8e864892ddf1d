"""What a stage costs on ARM does not creep up: its instructions, counted under emulation, are on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(HOME / "benchmarks"))

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


@pytest.mark.skipif(not os.environ.get("EDGE_SER_TEST_ARM"), reason="make test-arm builds the ARM roots")
def test_counts_are_those_on_record():
    command = [sys.executable, HOME / "benchmarks/arm_instructions.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recorded = json.loads((HOME / "benchmarks/arm_counts.json").read_text())
    assert recorded.keys() == {"graphs", "cortex-a53", "cortex-a76"}
