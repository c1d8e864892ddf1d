"""The device part of the product on emulated ARM processors gives what it gives on this machine.

`make test-arm` builds what is needed and runs this file. The same program (device.py) runs on both sides,
with the same version of the TFLite runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from edge_ser import Classifier

HOME = Path(__file__).resolve().parent.parent.parent
ARM = HOME / "arm"
DEVICE = Path(__file__).with_name("device.py")
MODELS = sorted((HOME / "edge_ser" / "models").glob("*.tflite"))
RECORDING = Path("/usr/share/sounds/alsa/Front_Center.wav")  # 48 kHz, Debian's alsa-utils

pytestmark = pytest.mark.skipif(
    not os.environ.get("EDGE_SER_TEST_ARM"), reason="make test-arm builds the ARM roots and runs this"
)

RUNTIMES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime"}  # folder of packages -> runtime
# What a feature may differ by: plain MFCC; MFCC that lifters or deltas or decibels make larger, up to +-100;
# single bands in decibels, where next to nothing is in the quietest.
BOUNDS = {"kaldi mfcc": 1e-4, "htk mfcc, sliding mean": 1e-4, "librosa log-mel, 64 ms": 1e-3}
LARGE = 5e-4


@dataclass(frozen=True)
class Side:
    """An emulated machine and the runtime on it."""

    arch: str
    cpu: str
    packages: str  # arm_root's folder
    machine: str

    def __str__(self) -> str:
        return f"{self.cpu}-{self.packages}"


SIDES = [
    Side("arm64", "cortex-a53", "litert", "aarch64"),
    Side("arm64", "cortex-a76", "litert", "aarch64"),  # has the dot product that LiteRT has other kernels for
    Side("arm64", "cortex-a72", "tflite", "aarch64"),
    Side("armhf", "cortex-a7", "tflite", "armv7l"),
]


@dataclass(frozen=True)
class Ran:
    """What one side of a comparison computed."""

    report: dict[str, Any]
    arrays: dict[str, np.ndarray]


def ran(
    command: list[str | Path], runtime: str, folder: Path, environment: dict[str, str] | None = None
) -> Ran:
    """Runs device.py by the command and reads what it wrote."""
    done = subprocess.run(
        [*command, DEVICE, runtime, folder, *MODELS],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    with np.load(folder / f"arrays-{report['machine']}-{report['runtime']}.npz") as arrays:
        return Ran(report, dict(arrays))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Speech at 16 kHz: of Debian's sound test, quietly too, and of the tests' own recording."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, path, gain in [
        ("front-center", RECORDING, 1.0),
        ("quiet", RECORDING, 0.02),
        ("hello", HOME / "tests/data/hello.wav", 1.0),
    ]:
        samples, rate = soundfile.read(path, dtype="float32")
        soundfile.write(folder / f"{name}.wav", gain * soxr.resample(samples, rate, 16000), 16000)
    return folder


@pytest.fixture(scope="module")
def here(recordings) -> dict[str, Ran]:
    """This machine's results, by folder of packages."""
    return {
        packages: ran([sys.executable], runtime, recordings, {"PYTHONPATH": str(ARM / "host" / packages)})
        for packages, runtime in RUNTIMES.items()
    }


@pytest.fixture(scope="module", params=SIDES, ids=str)
def sides(request, here, recordings) -> tuple[Side, Ran, Ran]:
    """The emulated machine, its results, and this machine's with the same runtime."""
    side: Side = request.param
    command = [HOME / "packaging/arm-run", side.arch, side.cpu, side.packages]
    there = ran(command, RUNTIMES[side.packages], recordings)
    return side, there, here[side.packages]


def test_the_wheel_is_what_runs(sides):
    side, there, _ = sides
    assert there.report["machine"] == side.machine
    assert there.report["edge_ser"] == str(ARM / side.arch / "edge_ser" / "edge_ser")
    assert there.report["native"] == "_native.abi3.so"


def test_features_agree_with_this_machine_within_the_stated_bounds(sides):
    _, there, here = sides
    for name in [name for name in here.arrays if not name.startswith("scores")]:
        assert there.arrays[name].shape == here.arrays[name].shape
        assert np.isfinite(there.arrays[name]).all()
        difference = np.abs(there.arrays[name] - here.arrays[name]).max()
        assert difference <= BOUNDS.get(name, LARGE), f"{name}: {difference}"


def test_streaming_equals_one_call_bit_for_bit(sides):
    _, there, here = sides
    assert len(there.report["streams_alike"]) == 6
    assert there.report["streams_alike"] == here.report["streams_alike"]


def test_scores_of_the_same_int8_features_are_the_same_bits(sides):
    _, there, here = sides
    for name in [name for name in here.arrays if name.startswith("scores")]:
        assert np.ptp(here.arrays[name].astype(int)) > 20  # the graph does compute something
        np.testing.assert_array_equal(there.arrays[name], here.arrays[name], err_msg=name)


def test_labels_of_whole_files_are_the_same(sides):
    _, there, here = sides
    assert there.report["labels"] == here.report["labels"]
    assert len(there.report["labels"]) == len(MODELS) * 3


def test_shipped_models_pass_their_own_test(sides):
    _, there, _ = sides
    assert there.report["self_tests"] == {path.stem: True for path in MODELS}


def test_every_stage_can_be_benchmarked(sides):
    _, there, _ = sides
    stages = ["front_end", "quantise", "invoke", "whole"]
    assert there.report["bench"] == {path.stem: stages for path in MODELS}


@pytest.mark.parametrize("side", SIDES[1:], ids=str)
def test_classify_names_the_emotion_of_a_recording_end_to_end(side, recordings):
    program = "import sys; from edge_ser.cli import main; sys.exit(main())"
    words = ["-c", program, "classify", "--json", RECORDING]  # 48 kHz; on armv7l without soxr
    done = subprocess.run(
        [HOME / "packaging/arm-run", side.arch, side.cpu, side.packages, *words],
        cwd=recordings,  # not in the checkout, whose edge_ser Python would find first
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads(done.stdout)
    assert record["v"] == 1
    assert record["duration_s"] == pytest.approx(1.428, abs=0.002)
    here = Classifier().classify(RECORDING)
    heard = record["scores"]
    assert max(heard, key=heard.get) == max(here.scores, key=here.scores.get)  # its label may be "uncertain"
    # Runtimes differ by a code of a logit, worth 0.02; on armv7l another resampler has come before.
    assert record["scores"] == pytest.approx(here.scores, abs=0.06 if side.arch == "armhf" else 0.03)
