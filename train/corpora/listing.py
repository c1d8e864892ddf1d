"""What a reader found in a corpus's folder, and the walk over its audio files that all readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_ser.errors import ConfigError
from train.utterance import Utterance

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


@dataclass
class Listing:
    """Utterances of a corpus, and every file that was left out with the reason why."""

    utterances: list[Utterance]
    skipped: list[tuple[str, str]] = field(default_factory=list)


def audio_files(folder: Path) -> Iterator[Path]:
    """Every audio file below ``folder`` in the order of its relative path, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith("."):
            yield path


def read_by_stem(
    folder: Path, pattern: re.Pattern[str], make: Callable[[str, re.Match[str]], Utterance | str]
) -> Listing:
    """Read a corpus whose labels all stand in the files' names.

    ``pattern`` must match the whole stem; ``make`` gets the path relative to ``folder`` and the match, and
    returns the utterance or the reason for leaving it out. Files that do not match are listed as skipped.
    Raises ConfigError when nothing at all fits: that is the wrong folder.
    """
    listing = Listing([])
    for path in audio_files(folder):
        relative = path.relative_to(folder).as_posix()
        match = pattern.fullmatch(path.stem)
        made = make(relative, match) if match else "the name does not follow the corpus's naming scheme"
        if isinstance(made, str):
            listing.skipped.append((relative, made))
        else:
            listing.utterances.append(made)
    if not listing.utterances:
        raise ConfigError(
            f"{folder}: no audio file is named like {pattern.pattern}; is this the corpus's own folder?"
        )
    return listing
