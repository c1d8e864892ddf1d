"""Keeps what native libraries chat about while they load off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (b"INFO:", b"I0000 ")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back standard error, C libraries' too, and then pass on all lines but chatter.

    For a moment at the start, before threads run: the descriptor belongs to the whole process. A pipe holds
    64 KiB; interpreters say a line or two while they load.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # started without standard error: nothing to keep clean
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        with os.fdopen(reading, "rb") as said:
            for line in said:
                if not line.startswith(CHATTER):
                    os.write(2, line)
