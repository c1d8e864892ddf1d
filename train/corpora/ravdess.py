"""RAVDESS, speech and audio only (Livingstone & Russo, PLoS ONE 2018).

``03-01-06-01-02-01-12``: modality, vocal channel, emotion, intensity, statement, repetition, actor (odd are
men).
"""

from __future__ import annotations

import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
SPEECH = "01"
_NAME = re.compile(
    r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)"
    r"-(?P<statement>\d\d)-(?P<repetition>\d\d)-(?P<actor>\d\d)"
)


def read(folder: Path) -> Listing:
    """Read ``Actor_12/03-01-06-01-02-01-12.wav`` and the like below ``folder``; songs are left out."""
    return read_by_stem(folder, _NAME, EMOTIONS, _make)


def _make(path: str, name: re.Match[str], emotion: str) -> Utterance | str:
    if name["channel"] != SPEECH:
        return "sung, not spoken"
    if name["intensity"] not in INTENSITIES:
        return f"unknown intensity code {name['intensity']}"
    return Utterance(
        path,
        "ravdess",
        f"Actor_{name['actor']}",
        "male" if int(name["actor"]) % 2 else "female",
        "en",
        emotion,
        intensity=INTENSITIES[name["intensity"]],
        text_id=f"s{name['statement']}",
        style="scripted",
    )
