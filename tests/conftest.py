"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys

import pytest
from live_parts import alsa_plugin, browser, make_broker, make_microphone, start_daemon  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def window_model(tmp_path_factory):
    """Path of a small real model in window form: one-second windows, labels low, high, noise."""
    import small_models

    path = tmp_path_factory.mktemp("models") / "small-window.tflite"
    path.write_bytes(small_models.window_model())
    return path


@pytest.fixture(scope="session")
def step_model(tmp_path_factory):
    """Path of a small real model in step form: chunks of 8 frames, a state of 6 units."""
    import small_models

    path = tmp_path_factory.mktemp("models") / "small-step.tflite"
    path.write_bytes(small_models.step_model())
    return path


@pytest.fixture(scope="session")
def python_of():
    """A function from the name of a runtime to a Python that has it and edge_ser."""
    from tflite_venv import tflite_python

    return lambda runtime: tflite_python() if runtime == "tflite_runtime" else sys.executable
