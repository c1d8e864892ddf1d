"""Where tflite-runtime lives: it needs numpy 1, so it has an environment of its own, found or made here."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ENVIRONMENT = Path(__file__).parents[1] / ".cache" / "tflite-runtime"
NEEDS = ("tflite-runtime==2.14.0", "numpy<2")


def tflite_python(make: bool = False) -> Path | None:
    """A Python with tflite-runtime: ``$EDGE_SER_TFLITE_PYTHON``, else .cache/tflite-runtime, made if
    ``make``.

    None where there is none, or where it cannot be installed (Python after 3.11, no network).
    """
    named = os.environ.get("EDGE_SER_TFLITE_PYTHON")
    python = Path(named) if named else ENVIRONMENT / "bin" / "python"
    if python.is_file() and _works(python):
        return python
    if named or not make or sys.version_info[:2] > (3, 11):
        return None
    venv.create(ENVIRONMENT, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS]
    done = subprocess.run(install, capture_output=True, check=False)
    return python if done.returncode == 0 and _works(python) else None


def _works(python: Path) -> bool:
    done = subprocess.run(
        [str(python), "-c", "import tflite_runtime.interpreter"], capture_output=True, check=False
    )
    return done.returncode == 0


if __name__ == "__main__":
    found = tflite_python(make=True)
    print(found or "tflite-runtime cannot be installed here (it needs Python 3.11 or older, and pip's index)")
