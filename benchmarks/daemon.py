"""What the daemon costs: processor share at a 0.5 s hop, and resident memory, part by part.

python benchmarks/daemon.py [--seconds 60] [--model MODEL] [--json]

The daemon runs as a process on a microphone (tests/alsa plays a file in real time as one, through ALSA and
PortAudio) that hears talk without a pause, a talk of one half, or a quiet room; its processor time is read
from /proc, after ten seconds of settling. The memory is that of one process that takes in the parts one
after another, as after a boot (see ``forget_libraries``). Talk comes from EDGE_SER_CORPORA/streaming.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
RATE_HZ = 16000
SETTLE_S = 10
TICKS = os.sysconf("SC_CLK_TCK")

PARTS = {
    "Python": "pass",
    "numpy": "import numpy",
    "model file, verified": "from edge_ser.model import Model; model = Model.load(MODEL)",
    "interpreter": "from edge_ser.classifier import Classifier; classifier = Classifier(model)",
    "first window scored": "classifier.engine.window(numpy.zeros(model.window_samples, numpy.float32))",
    "stream, level gate": "from edge_ser.live.stream import Stream; Stream(classifier, vad='energy')",
    "Silero": "from edge_ser.vad import SileroVoice; SileroVoice()(numpy.ones(6 * 512, numpy.float32))",
    "PyAudio and ALSA": "from edge_ser.live.devices import portaudio\nwith portaudio(): pass",
    "live page": "from edge_ser.live.sinks.page import PageSink; PageSink('0', name='', labels=[], model='')",
    "MQTT": "import paho.mqtt.client",
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="of measuring each case (60)")
    parser.add_argument("--model", default="emodb-cnn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    forget_libraries()
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "file_microphone.so"
        source = ROOT / "tests" / "alsa" / "file_microphone.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, source, "-lasound"], check=True)
        cases = {}
        for name, sound in scenes().items():
            for vad in ("silero", "energy"):
                cases[f"{name}, {vad}"] = run(Path(folder), plugin, sound, vad, args)
        memory = memory_by_part(Path(folder), args.model)
    report = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "cases": cases, "memory_kib": memory}
    print(json.dumps(report) if args.json else text(report))
    return 0


def forget_libraries() -> None:
    """Drop this Python's packages from the page cache, but for what other processes use just now.

    What an installation has just written lies there in pieces so large (Linux 6.16 and later) that mapping a
    library makes up to twice as much of it resident as after a boot, when it was read from the disk.
    """
    for path in Path(sysconfig.get_path("platlib")).rglob("*.so*"):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def scenes() -> dict[str, np.ndarray]:
    """Sound to hear: float32 at 16 kHz."""
    root = os.environ.get("EDGE_SER_CORPORA")
    if not root:
        sys.exit("set EDGE_SER_CORPORA to the folder of the corpora: the talk comes from its streaming/")
    files = sorted(Path(root, "streaming", "unlabelled").glob("*.flac"))
    talk = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in files])
    room = np.random.default_rng(0).normal(0, 1e-4, len(talk)).astype(np.float32)
    ten_s = 10 * RATE_HZ
    half = talk.copy()
    for start in range(0, len(half), 2 * ten_s):
        half[start : start + ten_s] = room[start : start + ten_s]
    return {"talk without a pause": talk, "talk half of the time": half, "quiet room": room}


def run(folder: Path, plugin: Path, sound: np.ndarray, vad: str, args: argparse.Namespace) -> dict[str, Any]:
    """One case: the daemon on this sound."""
    recording = folder / "sound.s16"
    recording.write_bytes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    config = folder / "asound.conf"
    config.write_text(
        "</usr/share/alsa/alsa.conf>\n"
        f'pcm_type.file_microphone {{ lib "{plugin}" }}\n'
        f'pcm.filemic {{ type file_microphone file "{recording}" hint {{ show on description "file" }} }}\n'
    )
    command = [sys.executable, "-m", "edge_ser", "daemon", "--json", "--model", args.model]
    command += ["--device", "filemic", "--vad", vad, "--hop-s", "0.5", "--heartbeat-s", "1"]
    output = folder / "out.jsonl"
    with output.open("wb") as out:
        daemon = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ALSA_CONFIG_PATH": str(config)},
        )
    try:
        time.sleep(SETTLE_S)
        begin_s, before = time.monotonic(), cpu_s(daemon.pid)
        time.sleep(args.seconds)
        share = (cpu_s(daemon.pid) - before) / (time.monotonic() - begin_s)
        memory = {key: status(daemon.pid, key) for key in ("VmRSS", "RssFile", "Threads")}
    finally:
        daemon.terminate()
        daemon.wait(10)
    records = [json.loads(line) for line in output.read_text().splitlines()]
    last = next(record for record in reversed(records) if record["type"] == "status")
    return {"cpu_percent": round(100 * share, 2), **memory, **last["counters"]}


def cpu_s(pid: int) -> float:
    """User and system time of a process, proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status(pid: int | str, key: str) -> int:
    """A number of /proc/PID/status; memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def memory_by_part(folder: Path, model: str) -> dict[str, int]:
    """Resident KiB after each of PARTS."""
    script = folder / "parts.py"
    script.write_text(
        "import edge_ser.cli.one_thread, json, sys\n"
        f"MODEL = {model!r}\nresident = []\n"
        f"for part in {list(PARTS.values())!r}:\n"
        "    exec(part)\n"
        "    with open('/proc/self/status') as status:\n"
        "        resident.append(next(int(line.split()[1]) for line in status if line.startswith('VmRSS')))\n"
        "print(json.dumps(resident))\nsys.stdout.flush()\nimport os; os._exit(0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=environment
    )
    return dict(zip(PARTS, json.loads(result.stdout), strict=True))


def machine() -> str:
    """The processor, by name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{names[0] if names else 'unknown'}, {os.cpu_count()} cores"


def text(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"{report['machine']}, {report['date']}", "", "| heard, voice detector | CPU, % of a core |"]
    lines[-1] += " windows scored / all | overruns | resident MiB, of it files | threads |"
    lines.append("|---|---|---|---|---|---|")
    for name, case in report["cases"].items():
        memory = f"{case['VmRSS'] / 1024:.1f}, {case['RssFile'] / 1024:.1f}"
        lines.append(
            f"| {name} | {case['cpu_percent']:.2f} | {case['scored']} / {case['windows']} "
            f"| {case['overruns']} | {memory} | {case['Threads']} |"
        )
    lines += ["", "| part | resident MiB | adds |", "|---|---|---|"]
    before = 0
    for name, kib in report["memory_kib"].items():
        lines.append(f"| {name} | {kib / 1024:.1f} | {(kib - before) / 1024:.1f} |")
        before = kib
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
