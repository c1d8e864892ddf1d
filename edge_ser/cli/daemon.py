"""``edge-ser daemon``: listening as a service, with a configuration file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from edge_ser.cli.live import add_live_options, build_listener, start_logging
from edge_ser.live.config import ConfigParser, config_arguments
from edge_ser.live.listener import Listener
from edge_ser.live.sinks import Sink


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command. None has a default here: what is not given comes from the file."""
    others = list(parser._actions)
    _add_options(parser)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML; every key is one of these options")
    parser.add_argument(
        "--check-config", action="store_true", help="say whether the configuration is right, and end"
    )
    for action in parser._actions:
        if action not in others:
            action.default = argparse.SUPPRESS


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM; with ``--check-config`` only look."""
    start_logging(args.verbose)
    if hasattr(args, "check_config"):
        settings = read_settings(args)
        print(f"{getattr(args, 'config', 'the command line')}: right; hop {settings.hop_s:g} s")
        return 0
    from edge_ser.live.daemon import Daemon

    Daemon(lambda: read_settings(args), _build).run()
    return 0


def read_settings(args: argparse.Namespace) -> argparse.Namespace:
    """Defaults, then the file, then the command line."""
    parser = ConfigParser(add_help=False)
    _add_options(parser)
    given = vars(args)
    from_file = config_arguments(given["config"], parser) if "config" in given else []
    settings = parser.parse_args(from_file)
    vars(settings).update(given)
    return settings


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", metavar="SOURCE", help='instead of a microphone: a file in real time, or "-"'
    )
    add_live_options(parser)


def _build(settings: argparse.Namespace, after_work: Callable[[], None]) -> Listener:
    from edge_ser.live.daemon import StatusSink

    def status(_labels: list[str], _model: str, _banner: str) -> list[Sink]:
        return [StatusSink()]

    return build_listener(settings, status, after_work)
