"""The section of docs/models.md on little speech: how sure the models are of it."""

from __future__ import annotations

from benchmarks.models_figures import Record
from convert.tables import measured, percent, table


def little_speech(figures: dict[str, dict[str, Record]]) -> str:
    """How sure the models are of pieces of speech, and how sure they may be."""
    parts = {name: by["apart"]["short"] for name, by in figures.items() if "short" in by.get("apart", {})}
    if not parts:
        return ""
    lengths = sorted({row["length_s"] for part in parts.values() for row in part["rows"]})
    by_length = {name: {row["length_s"]: row for row in part["rows"]} for name, part in parts.items()}
    rows = []
    for length_s in lengths:
        cells = [f"{length_s:g} s"]
        for each in by_length.values():
            cells.append(_of_length(each[length_s]) if length_s in each else "–")
        rows.append(cells)
    notes = [
        f"{name}: min(1, s / {part['full_s']:g}) ^ {part['exponent']:g}; {part['protocol']}, seeds "
        f"{', '.join(map(str, part['seeds']))}, {part['folds']} folds, by {measured(part)}."
        for name, part in parts.items()
    ]
    text = (
        "Pieces from the middle of recordings of people whom the model does not know: the share that is "
        "right / the probability that the model gives its best label, in brackets what it would give if it "
        "took a piece for a whole recording; then how many of the pieces it answers. Of s seconds of sound "
        "its logits count by the curve below, which was fitted on others than those it is judged by here.\n\n"
    )
    return text + table(("speech", *parts), rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def _of_length(row: Record) -> str:
    before, after = row["before"], row["after"]
    sure = f"{percent(after['said'])} ({percent(before['said'])})"
    return f"{percent(row['right'])} / {sure}; {percent(after['answered'])}"
