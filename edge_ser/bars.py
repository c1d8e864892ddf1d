"""How a label and its share look in a terminal: for `classify` and for the live view."""

from __future__ import annotations

from edge_ser.prediction import NO_SPEECH, UNCERTAIN

COLOURS = {  # of the 256-colour palette; the live page uses the same hues
    "anger": 203,
    "happiness": 220,
    "surprise": 213,
    "fear": 141,
    "sadness": 75,
    "disgust": 113,
    "boredom": 73,
    "calm": 80,
    "neutral": 250,
    UNCERTAIN: 245,
    NO_SPEECH: 240,
}
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """A bar of ``share`` (0 to 1) of ``width`` columns, to an eighth of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(width)


def paint(label: str, text: str) -> str:
    """``text`` in the colour of ``label``."""
    return f"\x1b[38;5;{COLOURS.get(label, 250)}m{text}\x1b[39m"
