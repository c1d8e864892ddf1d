"""The program whose instructions arm_instructions.py counts: each stage of the pipeline, a little and a lot
of it.

Runs on the emulated processor. A stage is two pieces of work that differ only in how many units they do;
the count of one unit is the difference of the two counts divided by the difference of the units, so that
what comes on top of the units (Python's call, the marks themselves) falls out. Prints the stages in the
order of their marks, and where the libraries lie in memory, as JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_ser.engine import Engine
    from edge_ser.frontend import Frontend

MARK = 0x5E000000  # packaging/count_instructions.c
RIVALS = Path(__file__).resolve().parent.parent / "arm" / "rivals"
HOP_S = 0.5  # of the live loop


@dataclass(frozen=True)
class Stage:
    """`little` does `little_units` of what is measured, `lot` does `lot_units`."""

    name: str
    little_units: int
    little: Callable[[], object]
    lot_units: int
    lot: Callable[[], object]
    warm_ups: int = 12  # CPython 3.11 rewrites its bytecode while a function is new


def speech_like(n_samples: int) -> np.ndarray:
    """float32 [n_samples] of a decaying harmonic sound in noise; counts hardly depend on what is in it."""
    time = np.arange(n_samples) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    noise = np.random.default_rng(8).standard_normal(n_samples)
    return (0.1 * voice + 0.01 * noise).astype(np.float32)


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """A callable that calls `work` so many times."""

    def run() -> None:
        for _ in range(times):
            work()

    return run


def frontend_stages() -> Iterator[Stage]:
    """MFCC of a frame, its int8 write, and a hop of the streaming front end as Python sees it."""
    from edge_ser.frontend import Frontend, FrontendOptions

    samples = speech_like(16000)
    few, many = samples[: 400 + 9 * 160], samples[: 400 + 89 * 160]
    for name, options in {
        "MFCC of a frame (25/10 ms, 40 mel, 13 cepstra)": FrontendOptions(),
        "log-mel of a frame (25/10 ms, 40 mel)": FrontendOptions(feature="log_mel"),
    }.items():
        process = Frontend(options).process
        yield Stage(name, 10, partial(process, few), 90, partial(process, many))
    frontend = Frontend(FrontendOptions())
    scale = np.full(frontend.n_features, 4.0, np.float32)
    offset = np.zeros(frontend.n_features, np.float32)
    out = np.empty((90, frontend.n_features), np.int8)
    yield Stage(
        "MFCC of a frame, written as int8",
        10,
        partial(frontend.process_int8, few, scale, offset, out),
        90,
        partial(frontend.process_int8, many, scale, offset, out),
    )
    hop = partial(push_and_pull, Frontend(FrontendOptions()), samples[:160])
    yield Stage("push and pull of a 10 ms hop, from Python", 1, hop, 33, repeated(hop, 33))


def kaldi_native_fbank_stages() -> Iterator[Stage]:
    """The rival's MFCC. Its Python takes a list, so the same one is framed every 10 ms and every second."""
    import kaldi_native_fbank as knf

    samples = speech_like(16000).tolist()

    def run(shift_ms: float) -> None:
        options = knf.MfccOptions()
        options.frame_opts.dither = 0
        options.frame_opts.frame_shift_ms = shift_ms
        options.mel_opts.num_bins = 40
        options.num_ceps = 13
        knf.OnlineMfcc(options).accept_waveform(16000, samples)

    yield Stage("MFCC of a frame, kaldi-native-fbank", 1, lambda: run(1000), 98, lambda: run(10))


def model_stages() -> Iterator[Stage]:
    """Front end, graph, and both with what is around them, for one run of every shipped model."""
    from edge_ser.engine import Engine
    from edge_ser.frontend import Frontend
    from edge_ser.model import MODELS, Model

    for path in sorted(MODELS.glob("*.tflite")):
        model = Model.load(path)
        engine, frontend = Engine(model), Frontend(model.frontend)
        runtime = engine.runtime.name
        if model.form == "window":
            samples = speech_like(model.window_samples)
            codes = np.empty((model.frames, model.n_features), np.int8)
            features: Callable[[], object] = partial(
                frontend.process_int8, samples, model.input_scale, model.input_offset, codes
            )
            whole = partial(whole_window, engine, samples)
            runs = f" in {engine.runs} runs" if engine.runs > 1 else ""
            of = f"a window of {model.length_s:g} s{runs}, {model.name}"
        else:
            samples = speech_like(model.frames * model.frontend.hop_length)
            features = partial(push_and_pull, frontend, samples)
            whole = partial(whole_step, engine, samples)
            of = f"a step of {len(samples) / model.rate_hz:g} s, {model.name}"
        if runtime == "ai_edge_litert":
            yield calls(f"front end: {of}", features)
        yield calls(f"{runtime}: {of}", engine.invoke_runs)
        yield calls(f"samples to probabilities with {runtime}: {of}", whole)


def calls(name: str, work: Callable[[], object], warm_ups: int = 2) -> Stage:
    """A stage whose unit is one call, of work in which Python's own share is small."""
    return Stage(name, 1, work, 3, repeated(work, 3), warm_ups)


def push_and_pull(frontend: Frontend, samples: np.ndarray) -> None:
    frontend.push(samples)
    frontend.pull()


def whole_window(engine: Engine, samples: np.ndarray) -> None:
    engine.probabilities(engine.window(samples), engine.sounding_s(samples))


def whole_step(engine: Engine, samples: np.ndarray) -> None:
    engine.probabilities(engine.push(samples))


def live_stages() -> Iterator[Stage]:
    """A hop of the live loop while somebody speaks: half a second in blocks of 20 ms, and one decision."""
    from edge_ser.classifier import Classifier
    from edge_ser.live.stream import Stream

    stream = Stream(Classifier(), hop_s=HOP_S, vad="energy")
    length = round(HOP_S * stream.rate_hz)
    samples = speech_like(length)
    syllables = np.sin(np.pi * 2 * np.arange(length) / length) ** 2  # two a hop, or the detector hears a hum
    blocks = np.split((samples * syllables).astype(np.float32), 25)

    def hop() -> None:
        scored = stream.scored
        for block in blocks:
            stream.feed(block)
        if stream.scored == scored and stream.time_s > 2:
            raise SystemExit("the live loop heard no speech: this is not what is to be counted")

    yield calls("a hop of the live loop (0.5 s of speech, a decision) with the default model", hop, 8)


def rival_model_stages() -> Iterator[Stage]:
    """Light-SERNet's graphs, which benchmarks/light_sernet.py makes."""
    from edge_ser.runtime import Runtime

    for path in sorted(RIVALS.glob("*.tflite")):
        runtime = Runtime(path.read_bytes())
        yield calls(f"{runtime.name}: a window of 3 s, {path.stem}", runtime.invoke)


SUITES = {
    "frontend": frontend_stages,
    "models": model_stages,
    "live": live_stages,
    "kaldi-native-fbank": kaldi_native_fbank_stages,
    "light-sernet": rival_model_stages,
}


def libraries() -> dict[str, int]:
    """Path of every file that is mapped into this process -> what to subtract from an address in it.

    That is where its first byte was loaded, and 0 for Python itself, which Debian links to fixed addresses.
    """
    found: dict[str, int] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, _, offset, *_, path = line.split()
        if path.startswith("/") and int(offset, 16) == 0:
            fixed = Path(path).samefile(sys.executable)
            found.setdefault(path, 0 if fixed else int(addresses.split("-")[0], 16))
    return found


def mark(number: int) -> None:
    """Tells the counting plugin where we are."""
    with contextlib.suppress(ProcessLookupError):
        os.getpriority(os.PRIO_USER, MARK + number)


def main(suites: list[str]) -> None:
    """Runs the stages of the suites, two marks around each of their two pieces of work."""
    done: list[dict[str, object]] = []
    for suite in suites:
        for stage in SUITES[suite]():
            repeated(stage.little, stage.warm_ups)()
            stage.lot()
            gc.collect()
            gc.disable()
            first = 4 * len(done)
            mark(first)
            stage.little()
            mark(first + 1)
            mark(first + 2)
            stage.lot()
            mark(first + 3)
            gc.enable()
            done.append({"name": stage.name, "units": [stage.little_units, stage.lot_units]})
    print(json.dumps({"stages": done, "libraries": libraries()}))


if __name__ == "__main__":
    main(sys.argv[1:])
