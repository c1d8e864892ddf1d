"""``edge-ser enroll``: half a minute of plain speech becomes a profile of speaker and room; no sound is
kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import edge_ser.cli.one_thread  # noqa: F401
from edge_ser.cli.live import add_source_options, open_source, start_logging
from edge_ser.cli.quiet import quiet_start
from edge_ser.errors import AudioError, DeviceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("profile", type=Path, metavar="PROFILE.json", help="file to write")
    parser.add_argument(
        "source", nargs="?", metavar="SOURCE", help='instead of a microphone: a recording, or "-"'
    )
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="of speech (30)")
    parser.add_argument(
        "--any-mood", action="store_true", help="it is talk as it comes, happy or angry, not plain reading"
    )
    add_source_options(parser)


def run(args: argparse.Namespace) -> int:
    """Listen until there is enough speech, or the source ends."""
    import numpy as np

    from edge_ser.engine import Engine
    from edge_ser.enrolment import Stretches, enrol
    from edge_ser.model import Model
    from edge_ser.profile import MIN_SPEECH_S
    from edge_ser.vad import SPAN, SpeechDetector, voice_detector

    start_logging(args.verbose)
    model = Model.load(args.model)
    with quiet_start():
        engine = Engine(model)
    detector = SpeechDetector(model.rate_hz, voice_detector(args.vad, model.rate_hz))
    source = open_source(args, model.rate_hz, ring_s=6.0, paced=False)
    what = "Talk as you do" if args.any_mood else "Read something aloud in your usual voice"
    print(f"{what}, from where you usually are.", file=sys.stderr)
    heard, speech_s = Stretches(), 0.0
    rest = np.zeros(0, np.float32)
    try:
        while speech_s < args.seconds and not source.finished:
            block = source.read(0.25)
            if block is None:
                if source.state != "listening":
                    raise DeviceError(f"{source.name}: {source.reason}")
                continue
            rest = np.concatenate((rest, block.samples))
            for span in detector.feed(block.samples):
                heard.take(span, rest[:SPAN])
                rest = rest[SPAN:]
            speech_s = heard.speech_samples / model.rate_hz
            print(f"\r{speech_s:4.0f} of {args.seconds:.0f} s of speech", end="", file=sys.stderr, flush=True)
    finally:
        source.close()
        print(file=sys.stderr)
    if speech_s < MIN_SPEECH_S:
        raise AudioError(
            f"{source.name}: only {speech_s:.0f} s of speech, {MIN_SPEECH_S:.0f} s are needed; speak longer"
        )
    enrol(engine, heard.sounds(), speech_s, args.any_mood).save(args.profile)
    print(f"{args.profile}: made from {speech_s:.0f} s of speech; no sound was kept. Use it with --profile.")
    return 0
