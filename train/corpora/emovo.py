"""EMOVO (Costantini et al., LREC 2014): six Italian actors, fourteen sentences, seven states.

``rab-f1-b2``: state, speaker (f or m and a number), sentence.
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "rab": "anger",  # rabbia
    "dis": "disgust",  # disgusto
    "pau": "fear",  # paura
    "gio": "happiness",  # gioia
    "neu": "neutral",
    "tri": "sadness",  # tristezza
    "sor": "surprise",  # sorpresa
}
_NAME = re.compile(r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\d)-(?P<sentence>[a-z]\d)")


def read(folder: Path) -> Listing:
    """Read ``f1/rab-f1-b2.wav`` and the like below ``folder``."""
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance:
    gender = "female" if name["speaker"].startswith("f") else "male"
    return Utterance(
        path,
        "emovo",
        name["speaker"],
        gender,
        "it",
        emotion,
        text_id=name["sentence"],
        style="scripted",
    )
