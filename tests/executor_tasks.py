"""Tasks for worker processes, in a module that is quick to import."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def wait_and_return(folder: str, name: str, wait_s: float) -> int:
    """Leave the process's number in FOLDER/NAME, wait, return 1; if that file is there already, return 2."""
    path = Path(folder) / name
    if path.exists():
        return 2
    partial = path.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.rename(path)
    time.sleep(wait_s)
    return 1


def die() -> None:
    """Kill the worker that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # FOLDER: a parent that waits for its worker until it is killed
    from train.executor import LocalProcesses

    with LocalProcesses(1) as executor:
        executor.submit(wait_and_return, sys.argv[1], "worker", 600.0).result()
