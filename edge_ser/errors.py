"""The one family of errors that leaves the public API.

A message is one line that says what is wrong, where, and what to do about it. ``exit_status`` is what the
command line returns when the error ends the run (docs/formats.md lists them).
"""


class EdgeSerError(Exception):
    """Root of every error that edge_ser raises for bad input."""

    exit_status = 1


class AudioError(EdgeSerError):
    """Audio that cannot be read, decoded or used."""

    exit_status = 1


class ModelError(EdgeSerError):
    """A model file that is missing, damaged, of another schema or not runnable here."""

    exit_status = 3


class DeviceError(EdgeSerError):
    """A microphone that is absent, busy or refuses the wanted format."""

    exit_status = 4


class ConfigError(EdgeSerError, ValueError):
    """An option, a configuration key or a recipe value that is unknown or out of range."""

    exit_status = 5
