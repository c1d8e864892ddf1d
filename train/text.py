"""Figures as text for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from train.corpora.listing import Listing


def figures_text(result: dict[str, Any]) -> str:
    """The figures of a cv.json (or of a run.json with held-out figures), the protocol first."""
    metrics = result["metrics"]
    lines = [f"{result['recipe_name']}: {result['protocol']}, {metrics['speakers']} speakers"]
    for name, key in (("UAR", "uar"), ("WA", "wa")):
        low, high = metrics[f"{key}_interval"]
        lines.append(f"  {name:16} {metrics[key]:.3f}  [{low:.3f}, {high:.3f}] over speakers")
    for name in ("macro_precision", "macro_recall", "macro_f1", "top_3", "ece"):
        lines.append(f"  {name:16} {metrics[name]:.3f}")
    for title, key in (("gender", "per_gender"), ("corpus", "per_corpus")):
        for name, part in metrics[key].items():
            lines.append(
                f"  {title} {name:9} UAR {part['uar']:.3f}  WA {part['wa']:.3f}  of {part['utterances']}"
            )
    seeds = result.get("per_seed", {})
    if len(seeds) > 1:
        lines += [
            f"  seed {seed:11} UAR {part['uar']:.3f}  WA {part['wa']:.3f}" for seed, part in seeds.items()
        ]
    lines += ["", confusion_text(result["labels"], metrics["confusion"])]
    return "\n".join(lines)


def confusion_text(labels: list[str], counts: list[list[int]]) -> str:
    """A confusion matrix with its recalls; rows are true."""
    width = max(len(label) for label in labels)
    lines = [" " * width + "".join(f"{label[:6]:>8}" for label in labels) + "  recall"]
    for index, (label, row) in enumerate(zip(labels, counts, strict=True)):
        recall = f"{row[index] / sum(row):8.3f}" if sum(row) else "       -"
        lines.append(f"{label:{width}}" + "".join(f"{count:8}" for count in row) + recall)
    return "\n".join(lines)


def corpus_text(name: str, listing: Listing) -> str:
    """What a corpus holds: counts per emotion and gender, and what was left out and why."""
    utterances = listing.utterances
    speakers = {each.speaker for each in utterances}
    emotions = Counter(each.emotion for each in utterances)
    genders = Counter(each.gender or "unknown" for each in utterances)
    lines = [f"{name}: {len(utterances)} utterances of {len(speakers)} speakers"]
    lines.append("  " + ", ".join(f"{emotion} {count}" for emotion, count in sorted(emotions.items())))
    lines.append("  " + ", ".join(f"{gender} {count}" for gender, count in sorted(genders.items())))
    reasons = Counter(reason for _, reason in listing.skipped)
    for reason, count in sorted(reasons.items()):
        first = next(path for path, why in listing.skipped if why == reason)
        lines.append(f"  left out: {count} ({reason}), the first is {first}")
    return "\n".join(lines)
