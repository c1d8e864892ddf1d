"""``edge-ser listen``: a microphone, a pipe or a file, live in the terminal."""

from __future__ import annotations

import argparse
import signal

from edge_ser.cli.live import add_live_options, build_listener, start_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "source", nargs="?", metavar="SOURCE", help='file to play in real time, or "-": raw 16-bit mono PCM'
    )
    add_live_options(parser)


def run(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C, SIGTERM or the end of the source."""
    from edge_ser.live.daemon import start_again
    from edge_ser.live.microphone import DriverStuckError
    from edge_ser.live.sinks import Sink
    from edge_ser.live.sinks.terminal import TerminalSink

    start_logging(args.verbose)

    def view(labels: list[str], model: str, banner: str) -> list[Sink]:
        return [] if args.json or args.json_windows else [TerminalSink(labels, model, banner=banner)]

    listener = build_listener(args, view)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: listener.stop())
    try:
        listener.run()
    except DriverStuckError:
        start_again()
    return 0
