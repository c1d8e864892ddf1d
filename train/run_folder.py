"""A run's folder: begun beside its final place, moved there whole when all is written."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.arrays import Scores
from train.atomic import write_json
from train.dataset import Normalisation, true_labels
from train.features import Extractor, frontend_digest
from train.metrics import evaluate
from train.models import architecture
from train.predict import write_predictions
from train.recipe import Recipe
from train.utterance import Utterance, manifest_digest, write_utterances

SCHEMA = 1
PACKAGES = ("numpy", "keras", "tensorflow", "jax", "torch", "soundfile", "soxr", "scikit-learn", "opensmile")


def begin(
    folder: Path,
    recipe: Recipe,
    train: Sequence[Utterance],
    held_out: Sequence[Utterance],
    seed: int,
    command: str,
    teachers: Sequence[Path] = (),
    further: Sequence[Utterance] = (),
) -> Path:
    """The folder to work in: what was begun of the very same run is kept, anything else there is removed.

    ``further``: what is learnt from beside ``train`` (train/encoder.py).
    """
    work = folder.with_name(f".{folder.name}.partial")
    started = {
        "schema": SCHEMA,
        "recipe": recipe.as_dict(),
        "recipe_name": recipe.name,
        "seed": seed,
        "manifest_digest": manifest_digest([*train, *held_out]),
        "train_digest": manifest_digest(train),
        "frontend_build": frontend_digest(),
        "versions": versions(),
    }
    if teachers:
        started["teachers"] = [each.name for each in teachers]
    if further:
        started["further_digest"] = manifest_digest(further)
    record = work / "started.json"
    if record.is_file() and json.loads(record.read_text())["same"] == started:
        return work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_utterances(work / "train.csv", train)
    write_utterances(work / "held_out.csv", held_out)
    if further:
        write_utterances(work / "further.csv", further)
    write_json(record, {"same": started, "git_commit": git_commit(), "command": command})
    return work


def finish(
    work: Path,
    folder: Path,
    model: Any,
    recipe: Recipe,
    extractor: Extractor,
    normalise: Normalisation,
    held_out: Sequence[Utterance],
    scores: Scores,
    processor_s: float,
) -> None:
    """Write a Keras model, predictions and run.json into ``work`` and move it to ``folder``.

    ``processor_s``: what the process that ended the fit has spent on it.
    """
    model.save(work / "model.keras", include_optimizer=False)
    module = architecture(recipe.model.architecture)
    description = {
        "frontend": extractor.options.as_dict(),
        "input": {
            "frames": extractor.frames,
            "features": extractor.n_features,
            "mean": [float(x) for x in normalise.mean],
            "std": [float(x) for x in normalise.std],
        },
        "window": {"length_s": _length_s(extractor), "hop_s": _hop_s(extractor), "pad": "audio"},
        "model": {
            "kind": module.KIND,
            "form": module.FORM,
            "architecture": recipe.model.architecture,
            "parameters": int(model.count_params()),
        },
        "processor_s": round(processor_s, 1),
    }
    finish_scored(work, folder, recipe, held_out, scores, description)


def finish_scored(
    work: Path,
    folder: Path,
    recipe: Recipe,
    held_out: Sequence[Utterance],
    scores: Scores,
    description: dict[str, Any],
) -> None:
    """Write predictions and a run.json with ``description`` into ``work`` and move it to ``folder``."""
    labels = recipe.data.labels
    write_predictions(work / "predictions.csv", labels, held_out, scores)
    started = json.loads((work / "started.json").read_text())
    run = {
        **started["same"],
        "git_commit": started["git_commit"],
        "command": started["command"],
        "labels": labels,
        **description,
        "metrics": evaluate(held_out, true_labels(labels, held_out), scores, labels) if held_out else {},
    }
    write_json(work / "run.json", run)
    (work / "started.json").unlink()
    shutil.rmtree(folder, ignore_errors=True)
    work.replace(folder)


def _length_s(extractor: Extractor) -> float | None:
    """Seconds of audio in one input; None when it takes any length."""
    if extractor.input.cut == "segment":
        options = extractor.options
        return float(((extractor.input.frames - 1) * options.hop_ms + options.window_ms) / 1000.0)
    return extractor.input.length_s if extractor.input.cut == "window" else None


def _hop_s(extractor: Extractor) -> float | None:
    if extractor.input.cut == "segment":
        return float(extractor.input.hop_frames * extractor.options.hop_ms / 1000.0)
    return extractor.input.hop_s if extractor.input.cut == "window" else None


def versions() -> dict[str, str]:
    """Versions of Python and of each package that can move a figure, where it is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """The commit of the checkout, with "+" behind it when tracked files are changed; "" outside a
    checkout.
    """
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+" if git("status", "--porcelain", "--untracked-files=no", "--", "train") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
