"""Runs an int8 graph over many inputs with one named interpreter, here or in another Python.

As a script (``python interpret.py JOB.npz RESULT.npz``) it needs numpy and an interpreter only, so that
tflite-runtime, which wants numpy 1, can be asked from an environment of its own.
"""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
Int8 = Any  # int8 arrays; numpy 1 and 2 spell their types differently


def run_graph(
    graph: bytes, features: Sequence[Int8], runtime: str = "ai-edge-litert", plain: bool = False
) -> list[Int8]:
    """For each int8 [frames, features] the int8 outputs [steps, classes] of all whole chunks, from zero
    states on; ``plain``: by TFLite's own kernels, without XNNPACK.
    """
    module = importlib.import_module(MODULES[runtime])
    kernels = "BUILTIN_WITHOUT_DEFAULT_DELEGATES" if plain else "AUTO"
    resolver = getattr(module.OpResolverType, kernels)
    interpreter = module.Interpreter(
        model_content=graph, num_threads=1, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    first, *states = interpreter.get_input_details()
    output, *new_states = interpreter.get_output_details()
    chunk = int(first["shape"][1])
    results = []
    for sequence in features:
        carried = [np.full(state["shape"], state["quantization"][1], state["dtype"]) for state in states]
        rows = []
        for start in range(0, len(sequence) - chunk + 1, chunk):
            interpreter.set_tensor(first["index"], sequence[np.newaxis, start : start + chunk])
            for state, array in zip(states, carried):  # noqa: B905 (this file also runs under older Pythons)
                interpreter.set_tensor(state["index"], array)
            interpreter.invoke()
            carried = [interpreter.get_tensor(state["index"]) for state in new_states]
            rows.append(interpreter.get_tensor(output["index"])[0])
        results.append(np.array(rows, np.int8).reshape(len(rows), -1))
    return results


def run_elsewhere(
    python: Sequence[str | Path], graph: bytes, features: Sequence[Int8], runtime: str
) -> list[Int8]:
    """``run_graph`` by the Python that the command ``python`` starts. Raises RuntimeError with the last line
    of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder, "job.npz"), Path(folder, "result.npz")
        lengths = np.array([len(each) for each in features])
        codes, whole = np.concatenate(features), np.frombuffer(graph, np.uint8)
        np.savez(job, graph=whole, features=codes, lengths=lengths, runtime=runtime)
        command = [*map(str, python), __file__, str(job), str(result)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            started = shlex.join(map(str, python))
            raise RuntimeError(f"{runtime}: {started} ended with status {done.returncode}: {lines[-1]}")
        answer = np.load(result)
        return list(np.split(answer["outputs"], np.cumsum(answer["steps"])[:-1]))


def main(job: str, result: str) -> None:
    given = np.load(job)
    features = np.split(given["features"], np.cumsum(given["lengths"])[:-1])
    outputs = run_graph(given["graph"].tobytes(), features, str(given["runtime"]))
    np.savez(result, outputs=np.concatenate(outputs), steps=np.array([len(each) for each in outputs]))


if __name__ == "__main__":
    main(*sys.argv[1:])
