"""CREMA-D, Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al., IEEE Trans. Affective Computing
2014).

``AudioWAV/1001_DFA_ANG_XX.wav``: actor, sentence, emotion, intensity. Genders stand in VideoDemographics.csv
(columns ActorID and Sex), which is published beside the audio; without that file gender stays unknown.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from train.corpora.listing import Listing, read_by_stem
from train.utterance import Utterance

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "strong", "XX": "", "X": ""}
DEMOGRAPHICS = "VideoDemographics.csv"
_NAME = re.compile(
    r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>LO|MD|HI|XX|X)"
)


def read(folder: Path) -> Listing:
    """Read the clips below ``folder``, with the actors' genders where they are known."""
    genders = _genders(folder)

    def make(path: str, name: re.Match[str], emotion: str) -> Utterance:
        return Utterance(
            path,
            "cremad",
            name["actor"],
            genders.get(name["actor"], ""),
            "en",
            emotion,
            intensity=INTENSITIES[name["intensity"]],
            text_id=name["sentence"],
            style="scripted",
        )

    return read_by_stem(folder, _NAME, EMOTIONS, make)


def _genders(folder: Path) -> dict[str, str]:
    found = sorted(folder.rglob(DEMOGRAPHICS))
    if not found:
        return {}
    with found[0].open(newline="", encoding="utf-8-sig") as file:
        return {row["ActorID"].strip(): row["Sex"].strip().lower() for row in csv.DictReader(file)}
