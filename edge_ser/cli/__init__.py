"""``edge-ser``: finds the command, imports only that one, and turns errors into a line and an exit status.

A command is a line in COMMANDS and a module here with ``add_arguments(parser)`` and ``run(arguments) ->
int``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from edge_ser.errors import EdgeSerError

COMMANDS = {
    "classify": "the emotion of recordings",
    "listen": "microphone in the terminal, live",
    "daemon": "listen as a service: configuration file, MQTT, systemd",
    "devices": "microphones, by name",
    "enroll": "learn a speaker and a room, to recognise them better",
    "bench": "how long a model takes on this machine",
    "info": "what is in a model file",
}
BROKEN_PIPE, INTERRUPTED = 141, 130  # what a shell reports for a process that SIGPIPE or SIGINT ended


QUICK_EXIT = {"classify", "info"}


def main() -> int:
    """What the installed ``edge-ser`` calls."""
    words = sys.argv[1:]
    status = run(words)
    if words and words[0] in QUICK_EXIT:
        # Taking numpy and an interpreter apart costs as much as classifying; threads may still be decoding.
        import os

        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
    return status


def run(words: Sequence[str]) -> int:
    """Run one command, words as on the command line; the exit status (docs/formats.md lists them)."""
    name = words[0] if words else ""
    if name in ("-h", "--help", ""):
        print(_usage(), file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    if name == "--version":
        from edge_ser import __version__

        print(f"edge-ser {__version__}")
        return 0
    if name not in COMMANDS:
        return _unknown(name)
    verbosity = 0
    try:
        from argparse import ArgumentParser
        from importlib import import_module

        command = import_module(f"edge_ser.cli.{name}")
        parser = ArgumentParser(prog=f"edge-ser {name}", description=command.__doc__)
        parser.add_argument(
            "-v", "--verbose", action="count", default=0, help="say more; -vv shows tracebacks"
        )
        command.add_arguments(parser)
        arguments = parser.parse_args(words[1:])
        verbosity = arguments.verbose
        status: int = command.run(arguments)
        sys.stdout.flush()
        return status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except Exception as error:
        if verbosity >= 2:
            raise
        known = isinstance(error, EdgeSerError)
        what = str(error) if known else f"internal error, {type(error).__name__}: {error} (-vv shows where)"
        print(f"edge-ser {name}: {what}", file=sys.stderr)
        return error.exit_status if isinstance(error, EdgeSerError) else 1


def _usage() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: edge-ser COMMAND [OPTION…] [ARGUMENT…]",
            "",
            "Speech in, emotion out, offline.",
            "",
            *lines,
            "",
            "edge-ser COMMAND --help tells more; edge-ser --version says which this is.",
        ]
    )


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"commands are {', '.join(COMMANDS)}"
    print(f"edge-ser: no command {name!r}; {hint}", file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Nobody reads any more: keep Python from complaining when it flushes at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
