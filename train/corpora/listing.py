"""What a reader found in a corpus's folder, and the walk over its audio files that all readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
    folder: Path,
    pattern: re.Pattern[str],
    emotions: Mapping[str, str],
    make: Callable[[str, re.Match[str], str], Utterance | str],
) -> Listing:
    """Read a corpus whose labels all stand in the files' names.

    ``pattern`` must match the whole stem and its group "emotion" be a key of ``emotions``; ``make`` gets
    the path relative to ``folder``, the match and the emotion, and returns the utterance or the reason for
    leaving it out. Files that do not fit are listed as skipped. Raises ConfigError when nothing at all fits:
    that is the wrong folder.
    """
    listing = Listing([])
    for path in audio_files(folder):
        relative = path.relative_to(folder).as_posix()
        match = pattern.fullmatch(path.stem)
        made: Utterance | str = "the name does not follow the corpus's naming scheme"
        if match and match["emotion"] not in emotions:
            made = f"unknown emotion code {match['emotion']!r}"
        elif match:
            made = make(relative, match, emotions[match["emotion"]])
        if isinstance(made, str):
            listing.skipped.append((relative, made))
        else:
            listing.utterances.append(made)
    if not listing.utterances:
        raise ConfigError(
            f"{folder}: no audio file is named like {pattern.pattern}; is this the corpus's own folder?"
        )
    return listing
