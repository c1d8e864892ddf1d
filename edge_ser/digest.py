"""SHA-256 without OpenSSL.

``hashlib`` loads OpenSSL's library, the slowest import of a start; CPython's own code is as good for a file
of 100 KB. Its name differs between 3.11 and later, and a Python built without it falls back on hashlib.
"""

from __future__ import annotations

import importlib
from typing import Any


def sha256_hex(data: bytes) -> str:
    """The digest in hexadecimal digits."""
    return str(_module().sha256(data).hexdigest())


def _module() -> Any:
    for name in ("_sha2", "_sha256"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return importlib.import_module("hashlib")
