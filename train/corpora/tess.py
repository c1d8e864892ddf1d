"""TESS, Toronto Emotional Speech Set (Pichora-Fuller & Dupuis, 2020).

``OAF_back_angry``: an older (OAF) or a younger (YAF) woman says "Say the word back". "ps" is pleasant
surprise.
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
# One published folder misspells OAF as OA in a single file name.
SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}
_NAME = re.compile(r"(?P<speaker>OAF|OA|YAF)_(?P<word>[a-z]+)_(?P<emotion>[a-z]+)")


def read(folder: Path) -> Listing:
    """Read the files below ``folder``, in one folder or in one per speaker and emotion."""
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance:
    speaker = SPEAKERS[name["speaker"]]
    return Utterance(
        path,
        "tess",
        speaker,
        "female",
        "en",
        emotion,
        text_id=name["word"],
        style="scripted",
    )
