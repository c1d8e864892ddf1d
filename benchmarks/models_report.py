"""Writes docs/models.md and its plot, docs/images/models.svg, from committed figures. Measures nothing.

python -m benchmarks.models_report

convert/evaluations/NAME.json         python -m convert cv, robustness, strangers, short, measure (apart)
convert/evaluations/NAME-random.json  python -m convert cv of the same recipe on random folds
docs/results/nonspeech.json           python -m benchmarks.nonspeech
docs/results/foreign.json             python -m benchmarks.foreign
docs/results/adaptation-NAME.json     python -m benchmarks.adaptation runs/cv-NAME --json
docs/results/anchors.json             what others reach: published, or measured here once
edge_ser/models/*.tflite              the files themselves

What is not there is left out.
"""

from __future__ import annotations

import sys

from benchmarks.models_figures import (
    HOME,
    NAMES,
    PROTOCOLS,
    RESULTS,
    Record,
    corpus_of,
    evaluations,
    read,
    size_kb,
)
from benchmarks.models_plot import PLOT, plot
from benchmarks.models_short import little_speech
from convert.shipped import shipped
from convert.tables import (
    interval,
    loss,
    measured,
    percent,
    shares_table,
    strangers_loss,
    strangers_table,
    table,
)
from edge_ser.model import DEFAULT_MODEL, MODELS, Model

PAGE = HOME / "docs" / "models.md"

INTRODUCTION = """# The models

What ships in `edge_ser/models`, how good it is, and beside whom. Every figure of ours is int8 through the
product's own chain (file → C front end → TFLite), of the last epoch, with nothing chosen on the test fold;
intervals are 95 % over speakers. Two protocols, never to be compared with each other: *speakers apart* tests
on people that the model has not heard, *speakers mixed* deals utterances at random, so that it has heard
them. The second says little about the person who will use a device.

Made by `python -m benchmarks.models_report` from committed figures; [how to make
those](#how-the-figures-are-made).
"""

MAKING = """## How the figures are made

For each model NAME of [convert/shipped.toml](../convert/shipped.toml), with `EDGE_SER_CORPORA` set (RECIPE:
with the overrides in its `set`, if any, each by `--set`):

    python -m train cv RECIPE --seeds 11 12 13 -o runs/cv-NAME
    python -m convert cv runs/cv-NAME -o convert/evaluations/NAME.json
    python -m convert robustness runs/cv-NAME -o convert/evaluations/NAME.json
    python -m convert short runs/cv-NAME -o convert/evaluations/NAME.json
    python -m benchmarks.adaptation runs/cv-NAME --json > docs/results/adaptation-NAME.json
    python -m train cv RECIPE --set evaluation.split=random-kfold --set evaluation.folds=10 \\
        --seeds 11 12 13 -o runs/cv-NAME-random
    python -m convert cv runs/cv-NAME-random -o convert/evaluations/NAME-random.json

For a model of several corpora each is left out in turn:

    python -m train cv RECIPE --set evaluation.split=leave-one-corpus-out -o runs/cross-NAME
    python -m convert strangers runs/cross-NAME/fold-* -o convert/evaluations/NAME.json
    python -m convert robustness runs/cross-NAME/fold-* -o convert/evaluations/NAME.json
    python -m convert short runs/cross-NAME/fold-* -o convert/evaluations/NAME.json

Then the files, what needs the files, the files once more with that in their cards (nothing is trained
again), and this page:

    make train-shipped
    python -m convert measure edge_ser/models/NAME.tflite -o convert/evaluations/NAME.json
    make train-shipped
    python -m benchmarks.nonspeech
    python -m benchmarks.foreign
    python -m benchmarks.models_report
"""


def shipped_table(figures: dict[str, dict[str, Record]]) -> str:
    rows = []
    for name in shipped():
        if not (MODELS / f"{name}.tflite").is_file():
            continue
        model = Model.load(name)
        licence = model.record.get("license", "")
        evaluation = figures.get(name, {}).get("apart", {})
        chosen = " (the default)" if name == DEFAULT_MODEL else ""
        rows.append(
            (
                f"[{name}](../edge_ser/models/{name}.md){chosen}",
                f"{model.form}, {model.length_s:g} s" if model.form == "window" else "step, streams",
                ", ".join(model.labels),
                ", ".join(each["name"] for each in model.record["training"]["corpora"]),
                licence,
                f"{size_kb(name, {}):.0f} KB",
                *(_uar(figures.get(name, {}).get(protocol)) for protocol in ("apart", "mixed")),
                _strangers(figures.get(name, {}).get("apart", {}), name),
                _profiled(name),
                _network_time(evaluation.get("measured", {}), model),
            )
        )
    header = (
        "model",
        "form",
        "labels",
        "trained on",
        "licence of the weights",
        "file",
        "UAR, speakers apart",
    )
    header += ("UAR, speakers mixed", "UAR of four emotions, foreign corpora")
    header += ("apart, with a profile", "network, a window or step")
    return table(header, rows)


def _uar(evaluation: Record | None) -> str:
    if "uar" not in (evaluation or {}):
        return "–"
    assert evaluation is not None
    entry = evaluation["uar"]
    seeds = len(evaluation["seeds"])
    return f"{percent(entry['int8'])} ({interval(entry['interval'])}; {seeds} seed{'s' if seeds > 1 else ''})"


def _network_time(part: Record, model: Model) -> str:
    """Of one run, where it was measured of this very graph."""
    if part.get("graph_sha256") != model.record["graph"]["sha256"]:
        return "–"
    return next((value for what, value, _ in part["rows"] if what.startswith("network,")), "–")


def _strangers(evaluation: Record, name: str) -> str:
    """Mean over corpora that training had nothing of."""
    part = evaluation.get("strangers")
    if part:
        return f"{percent(part['mean']['plain']['uar'])} of {len(part['rows'])}"
    foreign = read(RESULTS / "foreign.json").get("models", {}).get(name)
    return f"{percent(foreign['mean'])} of {len(foreign['corpora'])}" if foreign else "–"


def _profiled(name: str) -> str:
    cases = read(RESULTS / f"adaptation-{name}.json").get("cases", {})
    return percent(cases["profile"]["uar"]) if cases else "–"


def side_by_side(corpus: str, figures: dict[str, dict[str, Record]], anchors: list[Record]) -> str:
    """All systems on one corpus, the small ones first; ours bold."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    for name, by_protocol in figures.items():
        if corpus_of(by_protocol) != corpus:
            continue
        kb = size_kb(name, next(iter(by_protocol.values())))
        costs = [
            f"speakers {protocol}, {loss(uar['float'], uar['int8'], uar.get('loss_interval'))}"
            for protocol in ("apart", "mixed")
            if (uar := by_protocol.get(protocol, {}).get("uar"))
        ]
        cells = (
            f"**{name}**",
            *(_both(by_protocol.get(protocol)) for protocol in ("apart", "mixed")),
            f"{kb:.0f} KB" if kb else "–",
            "; ".join(["ours", *costs]),
        )
        rows.append((kb or 0.0, cells))
    for each in anchors:
        if each["corpus"] != corpus:
            continue
        cells = (
            each["system"],
            *(_anchor(each.get(protocol)) for protocol in ("apart", "mixed")),
            f"{each['size_kb']} KB" if "size_kb" in each else "–",
            f"{each['kind']}; {each['note']}" + _own(each),
        )
        rows.append((each.get("size_kb", 1e9), cells))
    header = ("system", "speakers apart: UAR / WA", "speakers mixed: UAR / WA", "size", "")
    return table(header, [cells for _, cells in sorted(rows, key=lambda row: row[0])])


def _both(evaluation: Record | None) -> str:
    if evaluation is None:
        return "–"
    bounds = interval(evaluation["uar"]["interval"])
    return f"**{percent(evaluation['uar']['int8'])}** ({bounds}) / {percent(evaluation['wa']['int8'])}"


def _anchor(entry: Record | None) -> str:
    if entry is None:
        return "–"
    return " / ".join(percent(entry[key]) if key in entry else "–" for key in ("uar", "wa"))


def _own(each: Record) -> str:
    return f" (WA {percent(each['own']['wa'])})" if "own" in each else ""


def several_corpora(figures: dict[str, dict[str, Record]]) -> str:
    rows = []
    for name, by_protocol in figures.items():
        if corpus_of(by_protocol):
            continue
        for protocol, evaluation in by_protocol.items():
            if "per_corpus" not in evaluation:
                continue
            parts = evaluation["per_corpus"].items()
            each = "; ".join(f"{corpus} {percent(entry['uar'])}" for corpus, entry in parts)
            rows.append((f"**{name}**", PROTOCOLS[protocol], _both(evaluation), each))
    return table(("model", "protocol", "UAR / WA", "UAR by corpus"), rows) if rows else ""


def robustness(figures: dict[str, dict[str, Record]]) -> str:
    """All models side by side: float → int8 in each condition."""
    parts = {
        name: by["apart"]["robustness"] for name, by in figures.items() if "robustness" in by.get("apart", {})
    }
    if not parts:
        return ""
    conditions = [row["what"] for row in next(iter(parts.values()))["rows"]]
    rows = []
    for place, condition in enumerate(conditions):
        cells = [condition]
        for part in parts.values():
            row = part["rows"][place]
            figure = f"{percent(row['float'])} → {percent(row['int8'])}"
            cells.append(f"**{figure}**" if condition in part["halved"] else figure)
        rows.append(cells)
    notes = [
        f"{name}: {part['protocol']}, {part['folds']} folds, {part['utterances']} utterances; "
        f"by {measured(part)}; "
        + (
            f"**halves what is above chance: {', '.join(part['halved'])}**."
            if part["halved"]
            else f"only the last noise may fall below {percent(part['limit']['int8'])}, halfway to chance."
        )
        for name, part in parts.items()
    ]
    text = (
        'UAR, float → int8, of models that do not know the speaker; "no speech" counts as wrong in int8. '
        "None but noise at 0 dB may halve what is above chance.\n\n"
    )
    return text + table(("condition", *parts), rows) + "\n\n" + "\n".join(f"- {note}" for note in notes)


def nonspeech() -> str:
    record = read(RESULTS / "nonspeech.json")
    if not record:
        return ""
    parts = [
        'Sounds without speech must come out as "no speech" or "uncertain", as recordings (`edge-ser '
        "classify`) and live (`edge-ser listen`: no emotion announced at any time)."
    ]
    rows = [
        (
            name,
            *(percent(part["not_an_emotion"][way]) for way in ("recording", "live")),
            *(percent(part["not_an_emotion_made"][way]) for way in ("recording", "live")),
            *(percent(part["speech_lost"][way]) for way in ("recording", "live")),
        )
        for name, part in record["models"].items()
    ]
    header = ("model", "real sounds: no emotion", "live", "made sounds: no emotion", "live")
    header += ("speech: lost", "live")
    parts.append(table(header, rows))
    made: dict[str, list[str]] = {}
    for name, part in record["models"].items():
        made.setdefault(f"voice detector {part['voice_detector']}; by {measured(part)}", []).append(name)
    parts.append("\n".join(f"- {', '.join(names)}: {how}" for how, names in made.items()))
    for name, part in record["models"].items():
        counts = [
            (kind, *(" / ".join(map(str, ways[way])) for way in ("recording", "live")))
            for group in ("sounds", "speech")
            for kind, ways in part[group].items()
        ]
        title = "no speech / uncertain / an emotion"
        parts.append(
            f"<details><summary>{name}, sound by sound</summary>\n\n"
            + table(("", f"recordings: {title}", f"live: {title}"), counts)
            + "\n\n</details>"
        )
    return "\n\n".join(parts)


def strangers(figures: dict[str, dict[str, Record]], anchors: Record) -> str:
    parts = []
    for name, by_protocol in figures.items():
        part = by_protocol.get("apart", {}).get("strangers")
        if not part:
            continue
        parts += [
            f"### {name}",
            f"Recipe of {name}, trained on all corpora but the one in the row, seeds "
            f"{', '.join(map(str, part['rows'][0]['seeds']))}; by {measured(part)}.",
            strangers_table(part, anchors["strangers"]["uar"]),
            f"{strangers_loss(part)}. {anchors['strangers_adapted']['system']} (transductive): "
            f"{percent(anchors['strangers_adapted']['uar']['mean'])} on average.",
            "What is said, against what is true; bold: more than twice the true share and ten points, "
            "and what a profile makes of it.",
            shares_table(part),
        ]
    if parts:
        parts.append(side_by_side_abroad(figures))
    return "\n\n".join(part for part in parts if part)


def side_by_side_abroad(figures: dict[str, dict[str, Record]]) -> str:
    """Models of one corpus beside those of several, on the corpora that none of them knows."""
    record = read(RESULTS / "foreign.json")
    if not record:
        return ""
    uars = {
        name: {corpus: entry["uar"] for corpus, entry in each["corpora"].items()}
        for name, each in record["models"].items()
    }
    for name, by_protocol in figures.items():
        rows = by_protocol.get("apart", {}).get("strangers", {}).get("rows", [])
        if rows:
            uars[name] = {row["corpus"]: row["plain"]["uar"] for row in rows}
    corpora = sorted(set.intersection(*(set(each) for each in uars.values())))
    if not corpora:
        return ""
    rows = [
        (
            name,
            *(percent(each[corpus]) for corpus in corpora),
            percent(sum(each[corpus] for corpus in corpora) / len(corpora)),
        )
        for name, each in uars.items()
    ]
    text = (
        f"On the {len(corpora)} corpora that no model here knows, four emotions, as is; models of one corpus "
        f"on every {record['every']}. recording, by {measured(record)}."
    )
    return f"{text}\n\n{table(('model', *corpora, 'mean'), rows)}"


def page() -> str:
    """The whole of docs/models.md."""
    figures, anchors = evaluations(), read(RESULTS / "anchors.json")
    systems = anchors["systems"]
    parts = [INTRODUCTION, "## What ships\n", shipped_table(figures), "\n## Beside others\n"]
    parts.append("![accuracy against size](images/models.svg)\n")
    for corpus, title in NAMES.items():
        parts += [f"### {title}\n", side_by_side(corpus, figures, systems), ""]
    sections = (
        ("### Several corpora", several_corpora(figures)),
        ("## Robustness", robustness(figures)),
        ("## Little speech", little_speech(figures)),
        ("## What is no speech", nonspeech()),
        ("## Strangers", strangers(figures, anchors)),
    )
    for title, text in sections:
        if text:
            parts += [f"{title}\n", text, ""]
    return "\n".join([*parts, MAKING])


def main() -> int:
    """Write both files."""
    plot(evaluations(), read(RESULTS / "anchors.json")["systems"])
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(HOME)}, {PLOT.relative_to(HOME)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
