"""One small class over whichever TFLite interpreter is installed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ModelError

RUNTIMES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}


class Runtime:
    """An int8 graph ready to run, on one thread. The graph must have been verified (edge_ser.model).

    ``name`` says which of RUNTIMES runs it. Not to be used by two threads at once.

    Fill ``input(0)``, call ``invoke()``, read ``output(0)``.
    """

    def __init__(self, graph: bytes, runtime: str | None = None, threads: int = 1) -> None:
        """Load ``graph`` into ``runtime``, or into the first of RUNTIMES that is installed."""
        self.name, module = find_runtime(runtime)
        try:
            self._interpreter = module.Interpreter(model_content=graph, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError, ImportError) as error:
            what = str(error).strip().splitlines()[0][:200]
            raise ModelError(
                f"{self.name} cannot run the graph ({what}); update {self.name} or the model"
            ) from None
        self._inputs = [
            _view(self._interpreter, entry["index"]) for entry in self._interpreter.get_input_details()
        ]
        self._outputs = [
            _view(self._interpreter, entry["index"]) for entry in self._interpreter.get_output_details()
        ]

    def input(self, place: int) -> NDArray[Any]:
        """The memory of an input tensor, to be written in place."""
        return self._inputs[place]

    def invoke(self) -> None:
        """Run the graph; other Python threads run meanwhile."""
        self._interpreter.invoke()

    def output(self, place: int) -> NDArray[Any]:
        """The memory of an output tensor, good until the next ``invoke``: copy what is to last."""
        return self._outputs[place]


class _Memory:
    """The place of a tensor for numpy; keeps the interpreter whose memory it is."""

    def __init__(self, interpreter: Any, view: NDArray[Any]) -> None:
        self.interpreter = interpreter
        self.__array_interface__ = dict(view.__array_interface__)


def _view(interpreter: Any, tensor: int) -> NDArray[Any]:
    """A lasting array over an input or output, which stays where it is once tensors are allocated.

    Interpreters refuse to run while an array of their own making is alive, and to make one after each run,
    when nothing of numpy is in the caches, takes longer than to read it.
    """
    return np.asarray(_Memory(interpreter, interpreter.tensor(tensor)()))


def find_runtime(runtime: str | None = None) -> tuple[str, Any]:
    """Name and module of the wanted or first installed runtime; ModelError says what to install."""
    if runtime is not None and runtime not in RUNTIMES:
        raise ModelError(f"runtime {runtime!r} is not known; choose {', '.join(RUNTIMES)}")
    reasons = []
    for name in RUNTIMES if runtime is None else [runtime]:
        if name == "tflite_runtime" and int(np.__version__.partition(".")[0]) >= 2:
            reasons.append(f"tflite_runtime needs numpy below 2, not {np.__version__}")
            continue
        try:
            return name, importlib.import_module(RUNTIMES[name])
        except ImportError as error:
            reasons.append(str(error).splitlines()[0])
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    advice = "pip install ai-edge-litert, or on armv7l: pip install tflite-runtime 'numpy<2'"
    raise ModelError(f"no TFLite runtime for Python {python} ({'; '.join(reasons)}); {advice}")
