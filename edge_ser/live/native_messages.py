"""What native libraries say on standard error, as log lines for -vv.

alsa-lib and PortAudio write pages while they look around, and PortAudio's thread writes four lines when a
device is pulled out, at any moment, across the live view. They write to C's ``stderr``, a variable that a
program may set ("Standard Streams" in glibc's manual): here it becomes a pipe. Descriptor 2 stays what it
is, so that the last words of a crash are still seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os

log = logging.getLogger(__name__)

LINE_BUFFERED = 1  # _IOLBF in stdio.h
PIPE_BYTES = 65536  # Linux's; what does not fit is lost


def catch() -> None:
    """From now on native libraries write into the pipe. Where C has no such variable nothing changes."""
    _pipe()


def log_caught() -> None:
    """Log what they wrote since the last time."""
    reading = _pipe()
    with contextlib.suppress(BlockingIOError):
        while reading is not None and (said := os.read(reading, PIPE_BYTES)):
            if log.isEnabledFor(logging.DEBUG):
                for line in said.decode(errors="replace").splitlines():
                    log.debug("%s", line)


@functools.cache
def _pipe() -> int | None:
    """The end to read from, made at the first call; for the life of the process, as ``stderr`` is."""
    libc = ctypes.CDLL(None)
    try:
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    except ValueError:
        return None
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    libc.fdopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fdopen(writing, b"w"))
    libc.setvbuf(stream, None, LINE_BUFFERED, ctypes.c_size_t(0))
    stderr.value = stream.value
    return reading
