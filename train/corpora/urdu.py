"""URDU (Latif et al., FIT 2018): unscripted speech from talk shows.

``SM1_F10_A010``: speaker (SM a man, SF a woman, and a number), file, emotion and running number.
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
_NAME = re.compile(r"(?P<speaker>S(?P<gender>[MF])\d+)_F(?P<file>\d+)_(?P<emotion>[A-Z])(?P<number>\d+)")


def read(folder: Path) -> Listing:
    """Read ``Angry/SM1_F10_A010.wav`` and the like below ``folder``."""
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance:
    gender = "male" if name["gender"] == "M" else "female"
    return Utterance(path, "urdu", name["speaker"], gender, "ur", emotion, style="improvised")
