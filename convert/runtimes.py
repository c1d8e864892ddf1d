"""Where tflite-runtime lives: it needs Python 3.11 at most and numpy 1, so it has its own environment, and on
ARM its own root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".cache" / "tflite-runtime"
NEEDS = ("tflite-runtime==2.14.0", "numpy<2")


def tflite_python(make: bool = False) -> Path | None:
    """A Python with tflite-runtime that also finds this checkout's edge_ser.

    ``$EDGE_SER_TFLITE_PYTHON``, else .cache/tflite-runtime, made if ``make``. None where there is none, or
    where it cannot be installed (no Python 3.11, no network).
    """
    named = os.environ.get("EDGE_SER_TFLITE_PYTHON")
    python = Path(named) if named else ENVIRONMENT / "bin" / "python"
    if python.is_file() and _works(python):
        return python
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if named or not make or base is None:
        return None
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS]
    for command in ([base, "-m", "venv", str(ENVIRONMENT)], install):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    [packages] = ENVIRONMENT.glob("lib/python3*/site-packages")
    (packages / "edge_ser.pth").write_text(f"{ROOT}\n")
    return python if _works(python) else None


def arm_python() -> tuple[str, ...] | None:
    """The command of an emulated ARM's Python that has tflite-runtime, where make test-arm has built one."""
    built = (ROOT / "arm" / "arm64" / "complete").is_file() and shutil.which("qemu-aarch64")
    return (str(ROOT / "packaging" / "arm-run"), "arm64", "cortex-a72", "tflite") if built else None


def _works(python: Path) -> bool:
    code = "import tflite_runtime.interpreter, edge_ser"
    return subprocess.run([str(python), "-c", code], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    found = tflite_python(make=True)
    print(found or "tflite-runtime cannot be installed here (it needs Python 3.11, and pip's index)")
