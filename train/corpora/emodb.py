"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005).

``03a01Fa``: speaker 03, text a01, emotion F, version a. Ten actors, ten sentences, seven emotions, German.
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "W": "anger",  # Wut, Ärger
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
FEMALE = {"08", "09", "13", "14", "16"}
MALE = {"03", "10", "11", "12", "15"}
_NAME = re.compile(r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z]?)")


def read(folder: Path) -> Listing:
    """Read ``wav/03a01Fa.wav`` and the like below ``folder``."""
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance | str:
    if name["speaker"] not in FEMALE | MALE:
        return f"unknown speaker {name['speaker']}"
    gender = "female" if name["speaker"] in FEMALE else "male"
    return Utterance(
        path,
        "emodb",
        name["speaker"],
        gender,
        "de",
        emotion,
        text_id=name["text"],
        style="scripted",
    )
