"""How long a model takes on this machine, stage by stage, and how much memory it needs.

Each model and runtime is measured in a process of its own, so that neither imports nor memory of one are
counted for another, and a cold start is one. Options and their meaning follow TFLite's benchmark_model
where it has them.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_ser.engine import Engine
    from edge_ser.model import Model

DISTRIBUTIONS = {  # runtime, in edge_ser.runtime's order -> the package that pip knows
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
    "tensorflow": "tensorflow",
}


@dataclass(frozen=True)
class Settings:
    """How to run; names and meaning as in benchmark_model. Times in seconds."""

    num_threads: int = 1
    num_runs: int = 50  # at least
    warmup_runs: int = 1  # at least
    warmup_min_secs: float = 0.5  # at least
    min_secs: float = 1.0  # of measured runs, at least
    max_secs: float = 150.0  # of measured runs, at most, however few they are then
    run_delay: float = -1.0  # pause between runs; none when negative
    paced: bool = False  # also run at the rate at which audio arrives

    def __post_init__(self) -> None:
        for name, low in {"num_threads": 1, "num_runs": 1, "warmup_runs": 0, "max_secs": 0}.items():
            if getattr(self, name) < low:
                raise ConfigError(f"--{name} {getattr(self, name)}: it must be at least {low}")


@dataclass(frozen=True)
class Distribution:
    """Times of one stage, in milliseconds."""

    runs: int
    mean: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: list[float]) -> Distribution:
        """Percentiles are interpolated between the two nearest runs."""
        import numpy as np

        ms = 1000 * np.asarray(seconds)
        p50, p90, p95, p99 = (float(value) for value in np.percentile(ms, (50, 90, 95, 99)))
        return cls(len(ms), float(ms.mean()), float(ms.min()), p50, p90, p95, p99, float(ms.max()))


def measure(
    model: str | Path | None, runtime: str | None, settings: Settings, started: float
) -> dict[str, Any]:
    """Measures one model on one runtime in this process; ``started`` is time.monotonic() when it was
    launched.

    Stages, of one window of audio (or one chunk of a model in step form): ``front_end`` float samples to
    float features, ``quantise`` features to int8 (and what warps them), ``invoke`` the interpreter, ``whole``
    samples to probabilities. Where a window takes several ``runs``, each stage is of all of them.
    """
    from edge_ser.engine import Engine
    from edge_ser.model import Model
    from edge_ser.runtime import Runtime

    imported = time.monotonic()
    loaded = Model.load(model)
    engine = Engine(loaded, runtime)
    if settings.num_threads > 1:
        engine.runtime = Runtime(loaded.graph, engine.runtime.name, settings.num_threads)
    ready = time.monotonic()
    audio, arrives_s = _audio(engine)
    whole = _whole(engine, audio)
    begin = time.monotonic()
    whole()
    first = time.monotonic()
    seconds = _stages(engine, audio, settings) | {"whole": _times(whole, settings)}
    stages = {stage: Distribution.of(each) for stage, each in seconds.items()}
    name = engine.runtime.name
    return {
        "model": loaded.name,
        "file": loaded.source,
        "form": loaded.form,
        "runs": engine.runs,
        "graph_bytes": len(loaded.graph),
        "graph_sha256": loaded.record["graph"]["sha256"],
        "runtime": name,
        "runtime_version": importlib.metadata.version(DISTRIBUTIONS[name]),
        "audio_s": len(audio) / loaded.rate_hz,
        "arrives_s": arrives_s,
        "cold_start_ms": 1000 * (first - started),
        "imports_ms": 1000 * (imported - started),
        "load_ms": 1000 * (ready - imported),
        "first_ms": 1000 * (first - begin),
        "stages_ms": {stage: asdict(each) for stage, each in stages.items()},
        "real_time_factor": stages["whole"].p50 / 1000 / arrives_s,
        "paced": _paced(whole, arrives_s, settings) if settings.paced else None,
        "peak_rss_mb": peak_rss_mb(),
    }


def measure_apart(model: str | Path | None, runtime: str | None, settings: Settings) -> dict[str, Any]:
    """The same in a fresh process of this Python; ModelError when model or runtime is not usable there."""
    task = json.dumps([str(model) if model else None, runtime, asdict(settings), time.monotonic()])
    command = [sys.executable, "-c", "from edge_ser.bench import _child; _child()", task]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise ModelError(f"{model or 'the default model'}: its process ended with {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "error" in answer:
        raise ModelError(answer["error"])
    return answer


def peak_rss_mb(status: Path = Path("/proc/self/status")) -> float | None:
    """Most memory this process ever held, in MB; not getrusage's, which begins with the parent's memory."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1]) * 1.024 / 1000 if found else None


def _child() -> None:
    """Entry of the process that measure_apart starts."""
    model, runtime, settings, started = json.loads(sys.argv[1])
    try:
        answer = measure(model, runtime, Settings(**settings), started)
    except ModelError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


def _audio(engine: Engine) -> tuple[NDArray[np.float32], float]:
    """Samples that one run takes, and the seconds in which as much new audio arrives."""
    import numpy as np

    model = engine.model
    if model.form == "window":
        n_samples, arrives_s = model.window_samples, model.hop_s
    else:
        n_samples = model.frames * model.frontend.hop_length
        arrives_s = n_samples / model.rate_hz
    seconds = np.arange(n_samples) / model.rate_hz
    voice = sum(np.sin(2 * np.pi * 140 * harmonic * seconds) / harmonic for harmonic in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(n_samples)
    return np.asarray(0.1 * voice + 0.01 * noise, np.float32), arrives_s


def _whole(engine: Engine, audio: NDArray[np.float32]) -> Callable[[], object]:
    """Samples to probabilities, as the classifier and the live loop do it."""
    if engine.model.form == "window":
        return lambda: engine.probabilities(engine.window(audio), engine.sounding_s(audio))
    return lambda: engine.probabilities(engine.push(audio))


def _stages(engine: Engine, audio: NDArray[np.float32], settings: Settings) -> dict[str, list[float]]:
    """Seconds of the runs of each stage."""
    import numpy as np

    from edge_ser.frontend import Frontend

    model, frontend = engine.model, Frontend(engine.model.frontend)
    scale, offset = model.input_scale, model.input_offset
    if model.form == "window":
        floats = partial(frontend.process, audio)
        codes = np.empty((model.frames, model.n_features), np.int8)
        if model.warps:
            quantised = _times(_warping(model, frontend.process(audio), codes), settings)
        else:
            both = partial(frontend.process_int8, audio, scale, offset, codes)
            quantised = _differences(floats, both, settings)
        return {
            "front_end": _times(floats, settings),
            "quantise": quantised,
            "invoke": _times(engine.invoke_runs, settings),
        }

    def push_and_pull() -> None:
        frontend.push(audio)
        frontend.pull()

    features = np.zeros((model.frames, model.n_features), np.float32)

    def quantise() -> None:  # as Engine does it with chunks
        np.clip(np.rint(features * scale + offset), -128, 127).astype(np.int8)

    return {
        "front_end": _times(push_and_pull, settings),
        "quantise": _times(quantise, settings),
        "invoke": _times(engine.runtime.invoke, settings),
    }


def _warping(model: Model, features: NDArray[np.float32], codes: NDArray[np.int8]) -> Callable[[], None]:
    """Makes the inputs of all runs of a window, as Engine does it."""
    from edge_ser.warp import WarpedWriter

    write = WarpedWriter(model)

    def inputs() -> None:
        for run in range(1 + len(model.warps)):
            write(run, features, codes)

    return inputs


def _differences(less: Callable[[], object], more: Callable[[], object], settings: Settings) -> list[float]:
    """Seconds that ``more`` takes longer than ``less``, run in turn: the cost of fused work."""
    seconds: list[float] = []

    def pair() -> None:
        begin = time.perf_counter()
        less()
        middle = time.perf_counter()
        more()
        seconds.append(max(0.0, time.perf_counter() - middle - (middle - begin)))

    measured = _times(pair, settings)
    return seconds[-len(measured) :]


def _times(work: Callable[[], object], settings: Settings) -> list[float]:
    """Warms up, then runs as often as the settings ask; the seconds of each run."""
    begin = time.perf_counter()
    runs = 0
    while runs < settings.warmup_runs or time.perf_counter() - begin < settings.warmup_min_secs:
        work()
        runs += 1
    seconds: list[float] = []
    begin = time.perf_counter()
    while True:
        before = time.perf_counter()
        work()
        after = time.perf_counter()
        seconds.append(after - before)
        spent = after - begin
        if spent >= settings.max_secs or (len(seconds) >= settings.num_runs and spent >= settings.min_secs):
            return seconds
        if settings.run_delay > 0:
            time.sleep(settings.run_delay)


def _paced(work: Callable[[], object], arrives_s: float, settings: Settings) -> dict[str, Any]:
    """Runs when audio would be there, and sleeps between: the governor and the caches see what they see in
    use.

    The time of a run counts from when its audio was complete, so it includes waking up.
    """
    seconds: list[float] = []
    begin = time.perf_counter() + arrives_s
    for run in range(settings.num_runs):
        due = begin + run * arrives_s
        if due - begin > settings.max_secs:
            break
        time.sleep(max(0.0, due - time.perf_counter()))
        work()
        seconds.append(time.perf_counter() - due)
    late = sum(each > arrives_s for each in seconds)
    return {"every_s": arrives_s, "late": late, **asdict(Distribution.of(seconds))}
