"""What the ARM tests run on both sides: `device.py RUNTIME FOLDER MODEL ...` on this machine, then on the
emulated one.

FOLDER holds the recordings (*.wav at 16 kHz) and, after the first side ran, the int8 inputs that it drew
from them. Prints one JSON object and writes every array to FOLDER/arrays-MACHINE-RUNTIME.npz.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import edge_ser
from edge_ser import _native
from edge_ser.bench import Settings, measure
from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.frontend import Frontend, FrontendOptions
from edge_ser.model import Model

FEATURES = {
    "kaldi mfcc": FrontendOptions(lifter=0.0),
    "kaldi mfcc, liftered": FrontendOptions(),
    "kaldi log-mel": FrontendOptions(feature="log_mel"),
    "librosa mfcc with deltas": FrontendOptions(preset="librosa", deltas=2),
    "librosa log-mel, 64 ms": FrontendOptions(
        preset="librosa", feature="log_mel", window_ms=64, hop_ms=16, n_fft=1024, n_mels=128
    ),
    "htk mfcc, sliding mean": FrontendOptions(preset="htk", lifter=0.0, normalize="sliding"),
}


def speech(folder: Path) -> np.ndarray:
    """Every recording, one after the other."""
    recordings = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.wav"))]
    return np.concatenate(recordings)


def streamed(options: FrontendOptions, samples: np.ndarray) -> np.ndarray:
    """The features of samples that arrive in pieces of odd lengths."""
    frontend, rows, begin = Frontend(options), [], 0
    for length in [1, 399, 160, 7777, 2, 1601]:
        frontend.push(samples[begin : begin + length])
        rows.append(frontend.pull())
        begin += length
    frontend.push(samples[begin:])
    frontend.finish()
    return np.concatenate([*rows, frontend.pull()])


def int8_inputs(folder: Path, model: Model, samples: np.ndarray) -> np.ndarray:
    """int8 [runs, frames, features]: what the first side made of the speech, and some drawn at random.

    Roundings that differ are rare, so there are many of the short ones.
    """
    path = folder / f"{model.name}.npy"
    if not path.exists():
        shape = (400 if model.form == "step" else 24, model.frames, model.n_features)
        drawn = np.random.default_rng(5).integers(-128, 128, shape, np.int8)
        engine, n = Engine(model), model.window_samples
        windows = [engine.features(samples[i : i + n]) for i in range(0, len(samples), n)]
        np.save(path, np.concatenate([*windows, drawn]))
    inputs: np.ndarray = np.load(path)
    return inputs


def main(runtime: str, folder: Path, models: list[Path]) -> None:
    samples = speech(folder)
    arrays: dict[str, np.ndarray] = {}
    report: dict[str, Any] = {
        "machine": platform.machine(),
        "edge_ser": str(Path(edge_ser.__file__).parent),
        "native": str(Path(_native.__file__).name),
        "runtime": runtime,
        "streams_alike": [],
        "labels": {},
        "self_tests": {},
        "bench": {},
    }
    real = soundfile.read(folder / "front-center.wav", dtype="float32")[0]  # the bounds are for real speech
    for name, options in FEATURES.items():
        arrays[name] = Frontend(options).process(real)
        if np.array_equal(streamed(options, real), arrays[name]):
            report["streams_alike"].append(name)
    for path in models:
        model = Model.load(path)
        engine = Engine(model, runtime)
        arrays[f"scores of {model.name}"] = np.stack(
            [engine.run(codes) for codes in int8_inputs(folder, model, samples)]
        )
        classifier = Classifier(model, runtime)
        for recording in sorted(folder.glob("*.wav")):
            prediction = classifier.classify(recording)
            report["labels"][f"{model.name} {recording.name}"] = prediction.label
        report["self_tests"][model.name] = model.self_test(runtime).passed
        quick = Settings(num_runs=2, warmup_runs=0, warmup_min_secs=0, min_secs=0)
        report["bench"][model.name] = list(measure(path, runtime, quick, 0.0)["stages_ms"])
    np.savez(folder / f"arrays-{report['machine']}-{runtime}.npz", **arrays)
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
