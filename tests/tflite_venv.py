"""An environment of its own for tflite-runtime, which wants Python 3.11 at most and numpy below 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["tflite-runtime>=2.14", "numpy<2"]


def tflite_python(folder: Path = ROOT / ".cache" / "venv-tflite") -> str:
    """Python of that environment, made on first use; skips the test where it cannot be, but not in CI."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        if base is None:
            return _without("tflite-runtime has no wheel for this Python, and there is no python3.11")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            return _without(f"pip cannot fetch tflite-runtime: {done.stderr.strip().splitlines()[-1]}")
        [packages] = folder.glob("lib/python3*/site-packages")
        (packages / "edge_ser.pth").write_text(f"{ROOT}\n")
        (folder / "complete").touch()
    return str(python)


def _without(reason: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
