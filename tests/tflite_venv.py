"""A Python with tflite-runtime, made on first use; where it cannot be, a test is skipped, or fails in CI."""

from __future__ import annotations

import os

import pytest

from convert import runtimes


def tflite_python() -> str:
    python = runtimes.tflite_python(make=True)
    if python is None:
        reason = "tflite-runtime cannot be installed: it needs Python 3.11, and pip's index"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(python)
