"""Settings of the numeric libraries that must be made before the first of them is imported."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = 1  # with one, the order of additions is fixed, so equal seeds give equal weights


@functools.cache
def configure() -> None:
    """One set-up for all processes that train: quiet, TensorFlow unless ``KERAS_BACKEND`` says jax or
    torch, a GPU when there is one. Only the first call in a process does anything.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        with _quiet():
            import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # already running in this process, with the settings it started with
        tensorflow.config.experimental.enable_op_determinism()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow's C++ start-up chatter, which no setting silences, off standard error."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
