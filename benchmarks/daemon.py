"""What the daemon costs: processor share at a 0.5 s hop, and resident memory, part by part.

python benchmarks/daemon.py [--seconds 60] [--model MODEL] [--json]

The daemon runs as a process on a microphone (tests/alsa plays a file in real time as one, through ALSA and
PortAudio) that hears talk without a pause, a talk of one half, or a quiet room; in one case with the live
page, somebody who looks at it, and MQTT to a Mosquitto. Its processor time is read from /proc, after ten
seconds of settling. The memory by part is that of one process that takes in the parts one after another.
Libraries are as after a boot (see ``forget_libraries``), and Python's files compiled, as pip leaves them.
Talk comes from EDGE_SER_CORPORA/streaming.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edge_ser.model import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
RATE_HZ = 16000
SETTLE_S = 10
TICKS = os.sysconf("SC_CLK_TCK")

PARTS = {
    "Python": "pass",
    "numpy": "import numpy",
    "command line, configuration": "import edge_ser.cli.daemon, edge_ser.live.daemon",
    "model file, verified": "from edge_ser.model import Model; model = Model.load(MODEL)",
    "interpreter": "from edge_ser.classifier import Classifier; classifier = Classifier(model)",
    "first window scored": "classifier.engine.window(numpy.zeros(model.window_samples, numpy.float32))",
    "stream, level gate": "from edge_ser.live.stream import Stream; s = Stream(classifier, vad='energy')",
    "Silero": "from edge_ser.vad import SileroVoice; v = SileroVoice(); v(numpy.ones(3072, numpy.float32))",
    "PyAudio and ALSA": "from edge_ser.live.devices import portaudio\nwith portaudio(): pass",
    "live page": "from edge_ser.live.sinks.page import PageSink; PageSink('0', name='', labels=[], model='')",
    "MQTT": "from edge_ser.live.sinks.mqtt import import_paho; import_paho(tls=False)",
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="of measuring each case (60)")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    forget_libraries()
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "file_microphone.so"
        source = ROOT / "tests" / "alsa" / "file_microphone.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", plugin, source, "-lasound"], check=True)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ |= {"PYTHONPYCACHEPREFIX": f"{folder}/compiled", "PYTHONPATH": str(ROOT)}
        memory_by_part(Path(folder), args.model)  # the first compiles
        memory = memory_by_part(Path(folder), args.model)
        cases = {}
        sounds = scenes()
        for name, sound in sounds.items():
            for vad in ("silero", "energy"):
                cases[f"{name}, {vad}"] = run(Path(folder), plugin, sound, vad, args)
        name, sound = next(iter(sounds.items()))
        cases[f"{name}, silero, page and MQTT on"] = run(
            Path(folder), plugin, sound, "silero", args, told=True
        )
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


def run(
    folder: Path, plugin: Path, sound: np.ndarray, vad: str, args: argparse.Namespace, told: bool = False
) -> dict[str, Any]:
    """One case: the daemon on this sound; if ``told``, somebody looks at the page and there is a broker."""
    recording = folder / "sound.s16"
    recording.write_bytes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    alsa = folder / "asound.conf"
    alsa.write_text(
        "</usr/share/alsa/alsa.conf>\n"
        f'pcm_type.file_microphone {{ lib "{plugin}" }}\n'
        f'pcm.filemic {{ type file_microphone file "{recording}" hint {{ show on description "file" }} }}\n'
    )
    config = folder / "edge-ser.toml"
    config.write_text(
        f'model = "{args.model}"\nvad = "{vad}"\ndevice = "filemic"\nheartbeat-s = 1.0\njson = true\n'
    )
    command = [sys.executable, "-m", "edge_ser", "daemon", "--config", str(config), "--hop-s", "0.5"]
    output = folder / "out.jsonl"
    with contextlib.ExitStack() as stack:
        if told:
            page_port, broker_port = free_port(), free_port()
            broker = ["/usr/sbin/mosquitto", "-p", str(broker_port)]
            stack.callback(end, subprocess.Popen(broker, stderr=subprocess.DEVNULL))
            command += ["--http", str(page_port), "--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker_port)]
        environment = {**os.environ, "ALSA_CONFIG_PATH": str(alsa)}
        daemon = subprocess.Popen(
            command, stdout=stack.enter_context(output.open("wb")), stderr=subprocess.DEVNULL, env=environment
        )
        stack.callback(end, daemon)
        time.sleep(SETTLE_S)
        if told:
            look_at(page_port)
        begin_s, before = time.monotonic(), cpu_s(daemon.pid)
        time.sleep(args.seconds)
        share = (cpu_s(daemon.pid) - before) / (time.monotonic() - begin_s)
        memory = {key: status(daemon.pid, key) for key in ("VmRSS", "RssFile", "Threads")}
    records = [json.loads(line) for line in output.read_text().splitlines()]
    last = next(record for record in reversed(records) if record["type"] == "status")
    return {"cpu_percent": round(100 * share, 2), **memory, **last["counters"]}


def free_port() -> int:
    """A TCP port of this machine that nobody uses just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """Tell it to end, and wait."""
    process.terminate()
    process.wait(10)


def look_at(port: int) -> None:
    """Read the live page's events from now on, in a thread."""
    events = urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=30)
    threading.Thread(target=lambda: events.read(), daemon=True).start()


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
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
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
