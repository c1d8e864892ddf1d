"""Imported before numpy: OpenBLAS would start a thread a core, each with memory, to do nothing."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
