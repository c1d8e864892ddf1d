"""Settings of the numeric libraries that must be made before the first of them is imported."""

from __future__ import annotations

import os


def configure(threads: int = 1) -> None:
    """One deterministic set-up for every process that trains: quiet, TensorFlow by default, ``threads`` per operation.

    With one thread the order of additions is fixed, so equal seeds give equal weights. A GPU is used when there is one;
    ``KERAS_BACKEND`` may name jax or torch.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # already running in this process, with the settings it started with
        tensorflow.config.experimental.enable_op_determinism()
