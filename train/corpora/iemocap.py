"""IEMOCAP, Interactive Emotional Dyadic Motion Capture database (Busso et al., LREC 2008).

``SessionN/sentences/wav/DIALOGUE/UTTERANCE.wav`` with labels in
``SessionN/dialog/EmoEvaluation/DIALOGUE.txt``, whose summary lines read ``[start -
end]<tab>Ses01F_impro01_F000<tab>neu<tab>[valence, activation, dominance]``. The letter before the last number
is the speaker, so Ses01F_..._M003 is the man of session 1. "xxx" (no agreement) is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_ser.errors import ConfigError
from train.corpora.listing import Listing, audio_files
from train.utterance import Utterance

EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
    "sur": "surprise",
    "oth": "other",
}
NO_AGREEMENT = "xxx"
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_SUMMARY = re.compile(
    rf"\[(?P<start>\d+\.\d+) - (?P<end>\d+\.\d+)\]\t(?P<name>\S+)\t(?P<emotion>[a-z]{{3}})"
    rf"\t\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]\s*"
)
_NAME = re.compile(r"Ses(?P<session>\d\d)[FM]_(?P<dialogue>.+)_(?P<speaker>[FM])\d{3}")


def read(folder: Path) -> Listing:
    """Read the five sessions below ``folder``. Raises ConfigError when there are none."""
    files = {path.stem: path for path in audio_files(folder) if "sentences" in path.parts}
    listing = Listing([])
    evaluated: set[str] = set()
    for evaluation in sorted(folder.glob("Session*/dialog/EmoEvaluation/*.txt")):
        for line in evaluation.read_text(encoding="utf-8", errors="replace").splitlines():
            summary = _SUMMARY.fullmatch(line)
            if summary is None:
                continue
            name = summary["name"]
            evaluated.add(name)
            if name not in files:
                listing.skipped.append(
                    (name, f"labelled in {evaluation.name}, but there is no such audio file")
                )
                continue
            relative = files[name].relative_to(folder).as_posix()
            made = _make(relative, name, summary)
            if isinstance(made, str):
                listing.skipped.append((relative, made))
            else:
                listing.utterances.append(made)
    for name in sorted(files.keys() - evaluated):
        listing.skipped.append(
            (files[name].relative_to(folder).as_posix(), "no line in dialog/EmoEvaluation")
        )
    if not listing.utterances:
        raise ConfigError(
            f"{folder}: no labelled utterance; expected Session1/dialog/EmoEvaluation/*.txt and audio"
        )
    return listing


def _make(path: str, name: str, summary: re.Match[str]) -> Utterance | str:
    parts = _NAME.fullmatch(name)
    if parts is None:
        return "the name does not follow the corpus's naming scheme"
    if summary["emotion"] == NO_AGREEMENT:
        return "the raters did not agree (xxx)"
    if summary["emotion"] not in EMOTIONS:
        return f"unknown emotion code {summary['emotion']!r}"
    valence, arousal, dominance = (float(summary[group]) for group in (5, 6, 7))
    return Utterance(
        path,
        "iemocap",
        f"Ses{parts['session']}{parts['speaker']}",
        "female" if parts["speaker"] == "F" else "male",
        "en",
        EMOTIONS[summary["emotion"]],
        valence=valence,
        arousal=arousal,
        dominance=dominance,
        text_id=parts["dialogue"],
        style="improvised" if parts["dialogue"].startswith("impro") else "scripted",
        duration_s=round(float(summary["end"]) - float(summary["start"]), 4),
    )
