"""Tables of an evaluation in Markdown, for the cards and for docs/models.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %"


def loss(by_float: float, by_int8: float, bounds: Sequence[float] | None) -> str:
    """What int8 costs, in points, with its 95 % interval where that was measured."""
    known = "" if bounds is None else f" (95 %: {_signed(bounds[0])} to {_signed(bounds[1])})"
    return f"int8 costs {_signed(by_float - by_int8)} points of UAR{known}"


def _signed(share: float) -> str:
    tenths = round(1000 * share)
    return "0" if not tenths else f"{tenths / 10:+.1f}".replace("-", "−")


def measured(part: Mapping[str, Any]) -> str:
    """Where a part of an evaluation comes from."""
    return f"`{part['command']}`, commit {part['git_commit'][:9]}, {part['machine']}, {part['date']}"


def robustness_table(part: Mapping[str, Any]) -> str:
    rows = [
        (
            row["what"],
            percent(row["float"]),
            percent(row["int8"]),
            interval(row["interval"]),
            percent(row["refused"]),
        )
        for row in part["rows"]
    ]
    return table(("condition", "UAR, float", "UAR, int8", "95 % interval", '"no speech"'), rows)


def robustness_section(part: Mapping[str, Any]) -> str:
    """The table, what it was measured on, and what the rule says of it."""
    chosen = f"every {part['every']}. of their utterances, " if part["every"] > 1 else ""
    halved = part["halved"]
    rule = (
        f"**Halves what is above chance: {', '.join(halved)}.**"
        if halved
        else "None but the last step of noise may halve what is above chance "
        f"(int8 below {percent(part['limit']['int8'])}): none does."
    )
    return (
        f"{part['protocol']}; {part['folds']} folds, {chosen}{part['utterances']} utterances of "
        f"{part['speakers']} speakers, whom the model that hears them does not know. int8 through the whole "
        'chain, where "no speech" counts as wrong; its share is in the last column. Rows of a length: the '
        "utterance is cut, or others of the same voice and emotion follow it.\n\n"
        f"{robustness_table(part)}\n\n{rule}"
    )


def short_table(part: Mapping[str, Any]) -> str:
    """What is right of answers that rest on little speech, and what the model says of that itself."""
    rows = []
    for row in part["rows"]:
        before, after = row["before"], row["after"]
        right = after["right_of_answers"]
        rows.append(
            (
                f"{row['length_s']:g} s",
                f"{row['right']:.0%}",
                *(f"{after[what]:.0%} ({before[what]:.0%})" for what in ("said", "answered")),
                "–" if right is None else f"{right:.0%}",
            )
        )
    header = ("speech", "right", "said (uncorrected)", "answered (uncorrected)", "of these right")
    return table(header, rows)


def short_section(part: Mapping[str, Any]) -> str:
    """The curve, what it was measured on, and the table."""
    group = {"speaker": "speakers", "corpus": "corpora"}[part["apart"]]
    curve = f"min(1, s / {part['full_s']:g}) ^ {part['exponent']:g}"
    pieces = sum(row["pieces"] for row in part["rows"])
    return (
        f"Of s seconds of sound, logits count {curve}: what is said is then about the share that is right. "
        f"{pieces} pieces of held-out recordings, {part['folds']} folds, fitted on other {group} "
        f"({measured(part)}).\n\n{short_table(part)}"
    )


def strangers_table(part: Mapping[str, Any], baseline: Mapping[str, float] | None = None) -> str:
    """UAR by unseen corpus; ``baseline`` are the figures to beat, by corpus and "mean"."""
    known = baseline or {}
    rows = []
    for row in [*part["rows"], {"corpus": "mean", **part["mean"]}]:
        cells = [row["corpus"], percent(row["float"]["uar"])]
        for case in ("plain", "profile", "any_mood", "adapt"):
            cells.append(f"{percent(row[case]['uar'])} ({interval(row[case]['interval'])})")
        if known:
            cells.append(percent(known[row["corpus"]]) if row["corpus"] in known else "–")
        rows.append(cells)
    header = ["unseen corpus", "float", "int8, as is", "with a profile", "of any mood", "with --adapt"]
    return table([*header, "ComParE + SVM, as is"] if known else header, rows)


def strangers_loss(part: Mapping[str, Any]) -> str:
    mean = part["mean"]
    of_mean = loss(mean["float"]["uar"], mean["plain"]["uar"], mean["plain"].get("loss_interval"))
    return f"As is, {of_mean}, the mean of the corpora"


def shares_table(part: Mapping[str, Any]) -> str:
    """Predicted against true shares of the classes, as is and with a profile; what swallows is bold."""
    labels = part["labels"]
    rows = []
    for row in part["rows"]:
        rows.append((row["corpus"], "true", *map(percent, row["true_shares"])))
        for case, name in (("plain", "said, as is"), ("profile", "said, with a profile")):
            cells = [
                f"**{percent(share)}**" if label in row[case]["swallowed_by"] else percent(share)
                for label, share in zip(labels, row[case]["shares"], strict=True)
            ]
            rows.append(("", name, *cells))
    return table(("unseen corpus", "", *labels), rows)


def strangers_section(part: Mapping[str, Any]) -> str:
    """Both tables with what they mean."""
    swallowed = sorted(
        {f"{label} on {row['corpus']}" for row in part["rows"] for label in row["plain"]["swallowed_by"]}
    )
    verdict = (
        f"Said more than twice as often as true and ten points more: {', '.join(swallowed)} (as is)."
        if swallowed
        else "No label is said more than twice as often as true and ten points more."
    )
    return (
        "Trained on all corpora but the one tested, int8 through the whole chain. A profile is made of "
        f"up to {part['enrolled_s']:g} s of the speaker's own neutral audio, as of somebody who reads aloud, "
        "none of it tested; of any mood: of audio whatever its emotion, which --adapt has heard too.\n\n"
        f"{strangers_table(part)}\n\n{strangers_loss(part)}.\n\n{shares_table(part)}\n\n{verdict}"
    )
