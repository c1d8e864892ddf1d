"""SAVEE, Surrey Audio-Visual Expressed Emotion (Haq & Jackson, 2009).

Four men: ``AudioData/DC/sa01.wav``, or flattened ``DC_sa01.wav``. 15 sentences an emotion, 30 for neutral.
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
SPEAKERS = {"DC", "JE", "JK", "KL"}
_NAME = re.compile(r"(?:(?P<speaker>[A-Z]{2})_)?(?P<emotion>sa|su|[adfhn])(?P<sentence>\d\d)")


def read(folder: Path) -> Listing:
    """Read either layout below ``folder``; the speaker stands in the folder's name or before the
    underscore.
    """
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance | str:
    speaker = name["speaker"] or Path(path).parent.name
    if speaker not in SPEAKERS:
        return f"unknown speaker {speaker!r}"
    text = f"{name['emotion']}{name['sentence']}"
    return Utterance(path, "savee", speaker, "male", "en", emotion, text_id=text, style="scripted")
