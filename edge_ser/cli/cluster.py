"""Files on a Dask cluster: audio and model travel as bytes, so workers need edge_ser but no common disk."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from threading import local
from typing import Any

from edge_ser.audio import RawFormat
from edge_ser.classifier import Classifier
from edge_ser.errors import AudioError, ConfigError
from edge_ser.model import Model, find_model
from edge_ser.prediction import Prediction

AHEAD = 64  # files on their way at once
TIMEOUT_S = 20


def classify_on_cluster(
    files: Sequence[str], address: str, model: str | None, runtime: str | None, raw: RawFormat | None
) -> Iterator[tuple[str, Prediction | AudioError]]:
    """(name, prediction or error) of each file, in order; ConfigError when there is no cluster at
    ``address``.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("--cluster needs Dask; pip install 'edge-ser[cluster]'") from None
    try:
        client: Any = Client(address, timeout=TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error}); check --cluster HOST:PORT"
        ) from None
    with client:
        [weights] = client.scatter([find_model(model).read_bytes()], broadcast=True)
        running: deque[tuple[str, Any]] = deque()
        for name in files:
            try:
                audio = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            except (OSError, ValueError) as error:
                running.append((name, AudioError(f"{name}: cannot be read ({error}); check the file")))
            else:
                future = client.submit(classify_bytes, audio, name, weights, runtime, raw, pure=False)
                running.append((name, future))
            if len(running) > AHEAD:
                yield _settled(running.popleft())
        while running:
            yield _settled(running.popleft())


def classify_bytes(
    audio: bytes, name: str, model: bytes, runtime: str | None, raw: RawFormat | None
) -> Prediction | AudioError:
    """What a worker does with one file; it keeps a classifier a thread for the next."""
    if getattr(_worker, "model", None) != (model, runtime):
        _worker.classifier = Classifier(Model(model, "the model sent"), runtime)
        _worker.model = (model, runtime)
    file = NamedBytes(audio)
    file.name = name
    try:
        prediction: Prediction = _worker.classifier.classify(file, raw=raw)
        return prediction
    except AudioError as error:
        return error


class NamedBytes(BytesIO):
    """A file in memory whose errors carry the name of the real one."""

    name = ""


_worker = local()


def _settled(pending: tuple[str, Any]) -> tuple[str, Prediction | AudioError]:
    name, result = pending
    return name, result if isinstance(result, AudioError) else result.result()
