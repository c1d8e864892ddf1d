"""The daemon's configuration: a TOML file in which every key is one of the command's long options.

The file becomes arguments that stand before those of the command line, so there is one list of options, one
kind of check, and the command line wins. A table is a prefix: ``user`` in ``[mqtt]`` is ``--mqtt-user``.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from edge_ser.errors import ConfigError

NOT_IN_FILES = ("--config", "--check-config", "--help")


class ConfigParser(argparse.ArgumentParser):
    """An argument parser whose complaint is a ``ConfigError``."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def config_arguments(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    """The file's keys as arguments for ``parser``; ``ConfigError`` names the file, the key and the nearest
    one.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; write it from packaging/edge-ser.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    options = {
        name: action
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and not name.startswith("--no-") and name not in NOT_IN_FILES
    }
    arguments: list[str] = []
    for key, value in _flat(values):
        option = "--" + key.replace("_", "-")
        if option not in options:
            import difflib  # takes memory that a right configuration need not

            near = difflib.get_close_matches(option, options, n=1)
            hint = f"; did you mean {near[0][2:]!r}?" if near else "; --help lists them"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
        arguments += _as_arguments(path, key, option, value, options[option])
    try:
        parser.parse_args(arguments)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return arguments


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}-")
        else:
            yield prefix + key, value


def _as_arguments(path: Path, key: str, option: str, value: Any, action: argparse.Action) -> list[str]:
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key} is true or false, not {value!r}")
        return [option] if value else []
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{path}: {key} takes one string or number, not {value!r}")
    return [f"{option}={value}"]
