"""The converter's gate hears the emulated ARM that `make test-arm` builds: same codes, or no model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("EDGE_SER_TEST_ARM"), reason="make test-arm builds the ARM roots and runs this"
)
sys.path.insert(0, str(Path(__file__).parents[1]))  # for what the converter's tests share


def test_the_gate_hears_an_emulated_arm() -> None:
    pytest.importorskip("tensorflow", reason="needs the train extra, which make test installs")
    from train.backend import configure

    configure()
    from convert_parts import causal_cnn, sequences

    from convert.compiler import Options, compile_model
    from convert.data import Inputs
    from convert.parity import ON_ARM, compare_runtimes
    from convert.runtimes import arm_python, tflite_python

    arm = arm_python()
    assert arm is not None
    x = sequences(20, 40, 10)
    compiled = compile_model(causal_cnn(), x, Options(frames=4, step=True))
    inputs = Inputs(list(x[:4]), np.arange(4))
    report = compare_runtimes(compiled, inputs, tflite_python(make=True), arm)
    assert report[ON_ARM] == {"inputs": 4, "worst_lsb": 0, "equal_share": 1.0, "most_lsb": 0}
