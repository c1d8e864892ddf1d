"""edge_ser: speech in, emotion out, offline, on Raspberry-Pi-class hardware.

The names below are the public API; each is imported when first used, so ``import edge_ser`` itself costs
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge_ser.errors import AudioError, ConfigError, DeviceError, EdgeSerError, ModelError

if TYPE_CHECKING:
    from edge_ser.classifier import Classifier, Prediction
    from edge_ser.frontend import Frontend, FrontendOptions
    from edge_ser.live.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "Classifier",
    "ConfigError",
    "DeviceError",
    "EdgeSerError",
    "Frontend",
    "FrontendOptions",
    "ModelError",
    "Prediction",
    "Stream",
]

_HOME = {
    "Classifier": "edge_ser.classifier",
    "Prediction": "edge_ser.classifier",
    "Frontend": "edge_ser.frontend",
    "FrontendOptions": "edge_ser.frontend",
    "Stream": "edge_ser.live.stream",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'edge_ser' has no attribute {name!r}")
