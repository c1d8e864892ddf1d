"""Time of the front end beside every rival that can be imported here.

    python benchmarks/frontend.py [--json docs/results/frontend.json] [--rounds 40] [--processor 1]

Nothing is installed. Everything runs in this process, on one processor and one thread. Ours and a rival
take turns (A B A B ...); the figure is the median of the ratios of neighbouring turns, so that other load
hits both. FFTW3f (libfftw3-dev and a C compiler) is the limit: its FFTs alone, without any feature.
benchmarks/frontend_report.py turns the JSON into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from edge_ser import Frontend, FrontendOptions, _native  # noqa: E402

RATE_HZ = 16000
Run = Callable[[], object]


def speech_like(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A buzz that comes and goes, and a little noise: the time does not depend on what is said."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (0.1 * buzz * (1 + np.sin(2 * np.pi * 3 * t)) + 0.01 * noise).astype(np.float32)


def ours(options: FrontendOptions, samples: np.ndarray, level: str = "best") -> Run:
    os.environ["EDGE_SER_SIMD"] = level
    frontend = Frontend(options)
    os.environ.pop("EDGE_SER_SIMD")
    return lambda: frontend.process(samples)


def levels() -> list[str]:
    wanted = FrontendOptions()
    return [
        name for name in _native.SIMDS[1:] if _native.options_problem(wanted._native_options(name)) is None
    ]


# ---- rivals: each returns a call that computes 13 MFCC of 40 bands, or raises ImportError ----


def kaldi_native_fbank(samples: np.ndarray) -> Run:
    import kaldi_native_fbank as knf

    options = knf.MfccOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 40
    scaled = (samples * 32768).tolist()

    def run() -> object:
        online = knf.OnlineMfcc(options)
        online.accept_waveform(RATE_HZ, scaled)
        online.input_finished()
        return [online.get_frame(i) for i in range(online.num_frames_ready)]

    return run


def librosa_mfcc(samples: np.ndarray) -> Run:
    import librosa

    return lambda: librosa.feature.mfcc(
        y=samples, sr=RATE_HZ, n_mfcc=13, n_fft=512, win_length=400, hop_length=160, n_mels=40
    )


def python_speech_features(samples: np.ndarray) -> Run:
    import python_speech_features as psf

    return lambda: psf.mfcc(samples, RATE_HZ, nfilt=40)


def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Window [400], mel [257, 40] and cosine transform [40, 13], for the compositions."""
    import scipy.fft

    from tests.reference_frontend import mel_matrix, window_of

    transform = scipy.fft.dct(np.eye(40), norm="ortho", axis=1)[:, :13]
    window, mel = window_of("povey", 400), mel_matrix(FrontendOptions()).T
    return window.astype(np.float32), mel.astype(np.float32), transform.astype(np.float32)


def numpy_scipy(samples: np.ndarray) -> Run:
    import scipy.fft

    window, mel, transform = tables()

    def run() -> object:
        emphasised = np.append(samples[:1], samples[1:] - np.float32(0.97) * samples[:-1])
        frames = np.lib.stride_tricks.sliding_window_view(emphasised, 400)[::160] * window
        spectrum = scipy.fft.rfft(frames, 512, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        cepstra = np.log(np.maximum(power @ mel, np.float32(1e-10))) @ transform
        return cepstra - cepstra.mean(axis=0)

    return run


def torch_fft(samples: np.ndarray) -> Run:
    import torch

    torch.set_num_threads(1)
    signal = torch.from_numpy(samples)
    window, mel, transform = (torch.from_numpy(np.ascontiguousarray(table)) for table in tables())

    def run() -> object:
        with torch.inference_mode():
            emphasised = torch.cat((signal[:1], signal[1:] - 0.97 * signal[:-1]))
            spectrum = torch.view_as_real(torch.fft.rfft(emphasised.unfold(0, 400, 160) * window, 512))
            power = spectrum.square().sum(-1)
            cepstra = torch.log(torch.clamp(power @ mel, min=1e-10)) @ transform
            return cepstra - cepstra.mean(0)

    return run


def tf_signal(samples: np.ndarray) -> Run:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    signal = tf.constant(samples)
    window, mel, transform = (tf.constant(table) for table in tables())

    @tf.function
    def features(signal: Any) -> Any:
        emphasised = tf.concat([signal[:1], signal[1:] - 0.97 * signal[:-1]], 0)
        spectrum = tf.signal.rfft(tf.signal.frame(emphasised, 400, 160) * window, [512])
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        cepstra = tf.math.log(tf.maximum(power @ mel, 1e-10)) @ transform
        return cepstra - tf.reduce_mean(cepstra, 0)

    return lambda: features(signal).numpy()


RIVALS: dict[str, Callable[[np.ndarray], Run]] = {
    "kaldi-native-fbank": kaldi_native_fbank,
    "librosa": librosa_mfcc,
    "python_speech_features": python_speech_features,
    "numpy + scipy.fft float32": numpy_scipy,
    "torch.fft": torch_fft,
    "tf.signal": tf_signal,
}


def fftw(n_frames: int, folder: Path) -> Run | None:
    """FFTW3f's FFTs of 512 points, as many as there are frames; None where it cannot be built."""
    library = folder / "fftw_limit.so"
    source = Path(__file__).parent / "fftw_limit.c"
    command = ["cc", "-O2", "-fPIC", "-shared", str(source), "-lfftw3f", "-lm", "-o", str(library)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    loaded = ctypes.CDLL(str(library))
    loaded.fftw_prepare(512, 1)
    return lambda: loaded.fftw_run(n_frames)


# ---- measuring ----


def seconds_of(run: Run) -> float:
    """Of processor time, so that the turns of other programs do not count; what they cost the caches does."""
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(a: Run, b: Run, rounds: int) -> dict[str, float]:
    """Median of time(a) / time(b) over neighbouring turns, with its quartiles, and the medians of both."""
    for run in (a, b):
        run()
    pairs = [(seconds_of(a), seconds_of(b)) for _ in range(rounds)]
    quartiles = statistics.quantiles([x / y for x, y in pairs], n=4)
    return {
        "ratio": quartiles[1],
        "ratio_q1": quartiles[0],
        "ratio_q3": quartiles[2],
        "a_s": statistics.median(x for x, _ in pairs),
        "b_s": statistics.median(y for _, y in pairs),
    }


def batches(rounds: int, folder: Path) -> list[dict[str, Any]]:
    rows = []
    options = FrontendOptions(normalize="utterance")
    for seconds in (3, 10, 60):
        samples = speech_like(seconds)
        n_frames = Frontend(options).n_frames(len(samples))
        limit = fftw(n_frames, folder)
        for level in levels():
            mine = ours(options, samples, level)
            rivals = {"FFTW3f, FFTs only": limit} if limit else {}
            if level == levels()[-1]:
                for name, make in RIVALS.items():
                    try:
                        rivals[name] = make(samples)
                    except ImportError:
                        continue
            for name, rival in rivals.items():
                slow = name in ("kaldi-native-fbank", "librosa", "python_speech_features")
                found = compare(mine, rival, max(5, rounds // 8) if slow else rounds)
                rows.append(
                    {
                        "seconds": seconds,
                        "level": level,
                        "rival": name,
                        "ours_ns_per_frame": found["a_s"] / n_frames * 1e9,
                        "rival_ns_per_frame": found["b_s"] / n_frames * 1e9,
                        **{key: found[key] for key in ("ratio", "ratio_q1", "ratio_q3")},
                    }
                )
                print(
                    f"{seconds:3} s  {level:7} ours {rows[-1]['ours_ns_per_frame']:7.0f} ns   {name:26}"
                    f"{rows[-1]['rival_ns_per_frame']:8.0f} ns   ratio {found['ratio']:.3f}"
                    f" ({found['ratio_q1']:.3f} to {found['ratio_q3']:.3f})",
                    flush=True,
                )
    return rows


OPTION_SETS = {
    "default (512, 13 of 40)": FrontendOptions(),
    "256 points, 16 / 8 ms": FrontendOptions(n_fft=256, window_ms=16.0, hop_ms=8.0),
    "1024 points, 64 / 16 ms, 40 of 128": FrontendOptions(
        n_fft=1024, window_ms=64.0, hop_ms=16.0, n_mels=128, n_mfcc=40
    ),
    "librosa, 2048 / 512 at 22.05 kHz, 20 of 128": FrontendOptions(
        preset="librosa",
        rate_hz=22050,
        n_fft=2048,
        window_ms=2048 / 22.05,
        hop_ms=512 / 22.05,
        n_mels=128,
        n_mfcc=20,
    ),
    "log-mel, 80 bands": FrontendOptions(feature="log_mel", n_mels=80),
    "deltas and their deltas": FrontendOptions(deltas=2),
    "sliding mean": FrontendOptions(normalize="sliding"),
}


def option_sets(rounds: int) -> list[dict[str, Any]]:
    """Cost per point of the FFT, as a multiple of the default's."""
    samples, rows = speech_like(10), []
    default = ours(FrontendOptions(), samples)
    n_default = Frontend().n_frames(len(samples)) * 512
    for name, options in OPTION_SETS.items():
        points = Frontend(options).n_frames(len(samples)) * options.n_fft
        found = compare(ours(options, samples), default, rounds)
        rows.append({"options": name, "per_point": found["ratio"] * n_default / points})
        print(f"{name:45} {rows[-1]['per_point']:.2f} of the default's cost a point", flush=True)
    return rows


def streaming(rounds: int) -> dict[str, float]:
    """Microseconds for one hop of 10 ms: push and pull through Python."""
    samples = speech_like(3)
    hops = [samples[i : i + 160] for i in range(0, len(samples), 160)]
    frontend = Frontend()

    def run() -> None:
        frontend.reset()
        for hop in hops:
            frontend.push(hop)
            frontend.pull()

    times = [seconds_of(run) / len(hops) * 1e6 for _ in range(rounds)]
    print(f"streaming: {statistics.median(times):.2f} us a hop (best {min(times):.2f})")
    return {"us_per_hop": statistics.median(times), "best_us_per_hop": min(times)}


def fused(rounds: int) -> dict[str, float] | None:
    """PCM in memory to scores, 3 s with the default model, beside the bare invoke; None without a runtime."""
    from edge_ser import EdgeSerError
    from edge_ser.engine import Engine
    from edge_ser.model import Model

    try:
        engine = Engine(Model.load())
    except EdgeSerError:
        return None
    samples = speech_like(engine.model.window_samples / RATE_HZ)
    found = compare(lambda: engine.window(samples), engine.runtime.invoke, 10 * rounds)
    print(f"samples to scores: {found['ratio']:.2f} of the bare invoke, {found['b_s'] * 1e6:.0f} us")
    return {"runtime": engine.runtime.name, **found}


def priority() -> int:
    """The nice value of this session's processes as a group, which is what Linux weighs."""
    try:
        return int(Path("/proc/self/autogroup").read_text().split()[-1])
    except (OSError, ValueError):
        return 0


def machine() -> dict[str, Any]:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    packages = (
        "numpy",
        "scipy",
        "librosa",
        "kaldi-native-fbank",
        "python_speech_features",
        "torch",
        "tensorflow",
        "ai-edge-litert",
    )
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "nice": priority(),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--processor", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.processor in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {arguments.processor})
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "machine": machine(),
            "rounds": arguments.rounds,
            "batch": batches(arguments.rounds, Path(folder)),
            "streaming": streaming(arguments.rounds),
            "options": option_sets(arguments.rounds),
            "fused": fused(arguments.rounds),
        }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
