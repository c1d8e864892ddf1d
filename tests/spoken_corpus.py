"""A small EmoDB spoken by espeak-ng: speakers are voices, emotions ways of speaking."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SPEAKERS = {"03": "m1", "08": "f1", "09": "f2", "10": "m3"}
MANNERS = {  # EmoDB's letter -> pitch (0-99), words a minute, loudness (0-200)
    "W": (90, 260, 180),
    "N": (50, 190, 100),
    "T": (15, 130, 50),
}
TEXTS = {"a01": "Der Lappen liegt", "a02": "Das will sie", "a04": "Heute abend", "b01": "Was sind denn"}
LABELS = ["anger", "neutral", "sadness"]

# A recipe that learns this corpus in seconds.
TINY = [
    "data.labels=['anger', 'neutral', 'sadness']",
    "input.length_s=1.0",
    "input.hop_s=0.5",
    "input.warps=[]",
    "frontend.n_mels=24",
    "frontend.n_mfcc=12",
    "model.options={stem = 2, widths = [4, 6], pools = [[2, 2], [2, 2]], head = 8, dropout = 0.1}",
    "fit.epochs=3",
    "fit.batch_size=8",
    "fit.renderings=2",
    "augment.vocal_tract.pitch_sd=0.0",  # twelve cepstra do not show it
    "optimizer.ema_momentum=0.5",
]


def speak_emodb(root: Path) -> Path:
    """Write ROOT/emodb/wav/*.wav, 48 utterances of 4 speakers, and return ROOT; skips without espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    folder = root / "emodb" / "wav"
    folder.mkdir(parents=True)
    for speaker, variant in SPEAKERS.items():
        for letter, (pitch, words_per_minute, loudness) in MANNERS.items():
            for code, text in TEXTS.items():
                path = folder / f"{speaker}{code}{letter}a.wav"
                how = [
                    "-v",
                    f"de+{variant}",
                    "-p",
                    str(pitch),
                    "-s",
                    str(words_per_minute),
                    "-a",
                    str(loudness),
                ]
                subprocess.run([program, *how, "-w", str(path), text], check=True)
    return root
