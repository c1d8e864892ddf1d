"""What ``listen`` and ``daemon`` have in common: their options, and the listener made of them."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import edge_ser.cli.one_thread  # noqa: F401
from edge_ser.cli.quiet import quiet_start
from edge_ser.errors import ConfigError
from edge_ser.live.listener import Listener
from edge_ser.live.sinks import Sink
from edge_ser.live.sources import PipeSource, Source
from edge_ser.live.systemd import JournalFormatter, RateLimit, to_journal

if TYPE_CHECKING:
    from edge_ser.adaptation import Adaptation
    from edge_ser.classifier import Classifier


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """Every option that both commands take; each is also a key of the daemon's configuration file."""
    add_source_options(parser)
    parser.add_argument("--runtime", metavar="NAME", help="ai_edge_litert, tflite_runtime or tensorflow")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="speaker and room, from edge-ser enroll")
    parser.add_argument("--adapt", action="store_true", help="follow the speakers and the room slowly")

    deciding = parser.add_argument_group("deciding")
    deciding.add_argument("--hop-s", type=float, default=0.5, metavar="S", help="between decisions (0.5)")
    deciding.add_argument("--smoothing-s", type=float, default=1.0, metavar="S", help="time constant (1)")
    deciding.add_argument(
        "--margin", type=float, default=0.1, metavar="P", help="lead that replaces a label (0.1)"
    )
    deciding.add_argument(
        "--uncertain-below", type=float, metavar="P", help='probability under which the answer is "uncertain"'
    )
    deciding.add_argument(
        "--min-speech-s", type=float, default=0.8, metavar="S", help="before deciding (0.8)"
    )
    deciding.add_argument(
        "--hangover-s", type=float, default=0.8, metavar="S", help="silence after speech (0.8)"
    )

    telling = parser.add_argument_group("telling")
    telling.add_argument("--json", action="store_true", help="JSON lines on standard output")
    telling.add_argument("--json-windows", action="store_true", help="and a line for each window")
    telling.add_argument("--http", metavar="HOST:PORT", help="live page, such as 127.0.0.1:8420 (off)")
    telling.add_argument(
        "--name", default=socket.gethostname(), help="of this device, on the page and in MQTT"
    )
    telling.add_argument("--mqtt-host", metavar="HOST", help="MQTT broker (none)")
    telling.add_argument("--mqtt-port", type=int, metavar="PORT", help="its port (1883, with TLS 8883)")
    telling.add_argument("--mqtt-user", metavar="NAME", help="its user")
    telling.add_argument("--mqtt-password-file", type=Path, metavar="FILE", help="file with its password")
    telling.add_argument("--mqtt-tls", action="store_true", help="use TLS")
    telling.add_argument(
        "--mqtt-discovery-prefix", default="homeassistant", metavar="TOPIC", help="Home Assistant's"
    )
    telling.add_argument(
        "--metrics-file", type=Path, metavar="FILE", help="for Prometheus' textfile collector"
    )
    telling.add_argument(
        "--heartbeat-s", type=float, default=30.0, metavar="S", help="between states told (30)"
    )
    telling.add_argument("--record", type=Path, metavar="FILE", help="STORE THE SOUND that is heard, as WAV")
    telling.add_argument(
        "--record-max-mb", type=float, default=100.0, metavar="MB", help="at most so much (100)"
    )


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is heard, and by which model."""
    hearing = parser.add_argument_group("hearing")
    hearing.add_argument("--model", metavar="MODEL", help="model file, or name of a shipped one")
    hearing.add_argument(
        "--device", metavar="NAME", help="microphone: part of a name, index or ALSA string (edge-ser devices)"
    )
    hearing.add_argument(
        "--rate", type=int, default=16000, metavar="HZ", help="of raw PCM on standard input (16000)"
    )
    hearing.add_argument(
        "--vad", default="auto", metavar="NAME", help="voice detector: auto, silero or energy (auto)"
    )


def start_logging(verbose: int) -> None:
    """Messages to standard error: warnings and news, ``-v`` everything; with priorities where the journal
    reads.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        JournalFormatter("%(message)s") if to_journal() else logging.Formatter("edge-ser: %(message)s")
    )
    handler.addFilter(RateLimit())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)


def build_listener(
    args: argparse.Namespace,
    more_sinks: Callable[[list[str], str, str], Sequence[Sink]],
    after_work: Callable[[], None] = lambda: None,
) -> Listener:
    """The listener that the options describe; ``more_sinks(labels, model, banner)`` gives those of the
    command.
    """
    from edge_ser.classifier import Classifier
    from edge_ser.live.stream import Stream

    if args.heartbeat_s < 1:
        raise ConfigError(f"--heartbeat-s {args.heartbeat_s:g}: 1 s or more")
    with quiet_start():
        classifier = Classifier(model=args.model, runtime=args.runtime)
    stream = Stream(
        classifier,
        hop_s=args.hop_s,
        smoothing_s=args.smoothing_s,
        margin=args.margin,
        uncertain_below=args.uncertain_below,
        min_speech_s=args.min_speech_s,
        hangover_s=args.hangover_s,
        vad=args.vad,
        adaptation=_adaptation(args, classifier),
    )
    source = open_source(args, stream.rate_hz, 2 * stream.window_s)
    recorder = None
    if args.record:
        from edge_ser.live.recording import Recorder

        recorder = Recorder(args.record, stream.rate_hz, args.record_max_mb)
    banner = recorder.banner if recorder else ""
    sinks = [*more_sinks(classifier.labels, classifier.model.name, banner), *_sinks(args, classifier, banner)]
    return Listener(source, stream, sinks, heartbeat_s=args.heartbeat_s, tap=recorder, after_work=after_work)


def _adaptation(args: argparse.Namespace, classifier: Classifier) -> Adaptation | None:
    if not args.adapt and args.profile is None:
        return None
    from edge_ser.adaptation import Adaptation
    from edge_ser.profile import Profile

    profile = Profile.load(args.profile) if args.profile else None
    return Adaptation(classifier.model, profile, learn=args.adapt)


def open_source(args: argparse.Namespace, rate_hz: int, ring_s: float, paced: bool = True) -> Source:
    """What ``source``, ``device`` and ``rate`` mean: a pipe, a file (in real time if ``paced``) or a
    microphone.
    """
    if args.source == "-":
        if not 2000 <= args.rate <= 768000:
            raise ConfigError(f"--rate {args.rate}: 2000 to 768000 Hz")
        return PipeSource(sys.stdin.buffer, args.rate, rate_hz)
    if args.source:
        from edge_ser.audio import AudioReader
        from edge_ser.live.sources import FileSource

        return FileSource(
            AudioReader(args.source, rate_hz), rate_hz, name=Path(args.source).name, paced=paced
        )
    from edge_ser.live.devices import require_pyaudio
    from edge_ser.live.microphone import Microphone

    require_pyaudio()
    return Microphone(args.device, rate_hz, ring_s)


def _sinks(args: argparse.Namespace, classifier: Classifier, banner: str) -> list[Sink]:
    from edge_ser import __version__

    sinks: list[Sink] = []
    if args.json or args.json_windows:
        from edge_ser.live.sinks.jsonl import JsonLinesSink

        sinks.append(JsonLinesSink(windows=args.json_windows))
    if args.metrics_file:
        from edge_ser.live.sinks.textfile import TextfileSink

        sinks.append(TextfileSink(args.metrics_file))
    if args.http:
        from edge_ser.live.sinks.page import PageSink

        page = PageSink(
            args.http, name=args.name, labels=classifier.labels, model=classifier.model.name, banner=banner
        )
        sinks.append(page)
    if args.mqtt_host:
        from edge_ser.live.sinks.mqtt import Broker, MqttSink

        port = args.mqtt_port or (8883 if args.mqtt_tls else 1883)
        broker = Broker(
            args.mqtt_host, port, args.mqtt_user, _password(args.mqtt_password_file), args.mqtt_tls
        )
        mqtt = MqttSink(
            broker,
            name=args.name,
            labels=classifier.labels,
            model=classifier.model.name,
            version=__version__,
            heartbeat_s=args.heartbeat_s,
            discovery_prefix=args.mqtt_discovery_prefix,
        )
        sinks.append(mqtt)
    return sinks


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().rstrip("\n")
    except OSError as error:
        raise ConfigError(f"--mqtt-password-file {path}: {error.strerror}") from error
