"""Fills edge_ser.json (docs/formats.md) from a run, a compiled graph and what is known of its figures."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from convert.compiler import Compiled, Options
from convert.confidence import calibration_of
from convert.data import Source
from convert.reference import reference
from convert.run import Run
from train.recipe import load_recipe
from train.utterance import Utterance, read_utterances

INTENDED_USE = (
    "Guessing the acted or spoken emotion of one adult voice at a time from short utterances, on the "
    "device, without "
    "sending audio anywhere. For prototypes, research and accessibility aids whose users know that it errs."
)
LIMITS = (
    "Trained on {corpora}: other languages, rooms, microphones and unacted emotion are harder than the "
    "figures say. "
    "Not for decisions about people (hiring, policing, health, teaching): a voice does not prove what "
    "somebody feels."
)
# What each corpus's owners state; a model inherits the strictest of its corpora.
LICENSES = {
    "emodb": "CC0-1.0",
    "ravdess": "CC-BY-NC-SA-4.0",
    "tess": "CC-BY-NC-ND-4.0",
    "savee": "research only",
    "cremad": "ODbL-1.0",
    "iemocap": "research only, by agreement",
    "emovo": "research only",
    "urdu": "research only",
    "ased": "none stated, research only",
}

ENCODER = "Smart Turn 3.2, tuned from Whisper tiny"


def build_record(
    run: Run, source: Source, compiled: Compiled, options: Options, name: str, evaluation: Mapping[str, Any]
) -> dict[str, Any]:
    """The record without digest and golden vector, which convert.modelfile adds."""
    recipe = run.record["recipe"]
    corpora = _corpora(run.train)
    licenses = sorted({str(entry["license"]) for entry in corpora})
    frontend = run.record["frontend"]
    hop_s = compiled.frames * frontend["hop_ms"] / 1000
    calibration = calibration_of(evaluation)
    return {
        "name": name,
        "description": recipe.get("description", ""),
        "intended_use": INTENDED_USE,
        "limits": LIMITS.format(corpora=", ".join(str(entry["name"]) for entry in corpora)),
        "license": " and ".join(licenses),
        "labels": run.labels,
        "form": "step" if run.step else "window",
        "frontend": frontend,
        "input": {
            "frames": compiled.frames,
            "features": len(run.mean),
            "mean": run.mean,
            "std": run.std,
            "scale": compiled.input.scale,
            "zero_point": compiled.input.zero_point,
        },
        "reference": reference(source, run.train)
        | ({"logits": calibration["typical_logits"]} if "typical_logits" in calibration else {}),
        "window": {
            "length_s": source.length_s or STEP_LENGTH_S,
            "hop_s": source.hop_s or round(hop_s, 6),
            "pad": "audio",
            **({"lead_s": source.lead_s} if source.lead_s else {}),
            **_repeated(run, source, compiled.frames),
        },
        **({"warps": source.warps} if source.warps else {}),
        "state": compiled.states,
        "output": {
            "kind": "logits",
            "scale": compiled.output.scale,
            "zero_point": compiled.output.zero_point,
        },
        "calibration": {
            "temperature": calibration.get("temperature", 1.0),
            "abstain_below": calibration.get("abstain_below", 0.0),
            **_short(evaluation),
        },
        "training": {
            "corpora": corpora,
            "recipe": run.record["recipe_name"],
            "seed": run.record["seed"],
            "git_commit": run.record.get("git_commit", ""),
            "command": run.record.get("command", ""),
            "manifest_digest": run.record.get("manifest_digest", ""),
            "parameters": run.record["model"].get("parameters"),
            "architecture": run.record["model"].get("architecture", run.record["model"]["kind"]),
            **_encoder(run),
        },
        "evaluation": dict(evaluation),
        "conversion": options.as_dict(),
        "graph": {
            "ops": compiled.ops,
            "weight_bytes": compiled.weight_bytes,
            "multiply_adds": compiled.multiply_adds,
        },
        "tools": tool_versions(),
    }


def _short(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What logits are worth that rest on little speech, where that was measured."""
    part = evaluation.get("short")
    return {"short": {name: part[name] for name in ("full_s", "exponent")}} if part else {}


def _encoder(run: Run) -> dict[str, Any]:
    """Whose opinion was learnt along with the labels, by the network itself, by its teachers, or by both."""
    recipe = run.record["recipe"]
    own = recipe.get("encoder", {}).get("weight", 0.0)
    taught = recipe.get("teacher", {})
    teacher = load_recipe(taught["recipe"]).as_dict() if taught.get("recipe") else {}
    of_teacher = teacher.get("encoder", {}).get("weight", 0.0)
    if not own and not of_teacher:
        return {}
    told: dict[str, Any] = {"name": ENCODER, "license": "BSD-2-Clause"}
    if own:
        told["share"] = round(own * (1.0 - taught["weight"]) if teacher else own, 6)
    if of_teacher:
        told["teacher"] = {"recipe": teacher["name"], "share": of_teacher}
    further = run.folder / "further.csv"
    if further.is_file():
        told["further_utterances"] = len(read_utterances(further))
    return {"encoder": told}


def _repeated(run: Run, source: Source, chunk: int) -> dict[str, float]:
    """What is shorter is heard again; in a step model a number of whole chunks. Nothing where nothing is."""
    seconds = source.repeat_to_s
    if run.step:
        seconds = round(source.repeat_frames / chunk) * chunk * run.record["frontend"]["hop_ms"] / 1000
    return {"repeat_to_s": round(seconds, 6)} if seconds else {}


STEP_LENGTH_S = 3.0  # of audio that one reported decision of a step model rests on, while it streams


def tool_versions() -> dict[str, str]:
    """What may move a bit of the file."""
    versions = {"python": platform.python_version()}
    for package in ("keras", "tensorflow", "ai-edge-litert", "flatbuffers", "numpy"):
        versions[package] = importlib.metadata.version(package)
    return versions


def _corpora(utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    entries = []
    for name in sorted({utterance.corpus for utterance in utterances}):
        own = [utterance for utterance in utterances if utterance.corpus == name]
        languages = sorted({utterance.language for utterance in own if utterance.language})
        entries.append(
            {
                "name": name,
                "license": LICENSES.get(name, "not known here: see the corpus"),
                "language": ", ".join(languages),
                "utterances": len(own),
                "speakers": len({utterance.speaker_id for utterance in own}),
            }
        )
    return entries
