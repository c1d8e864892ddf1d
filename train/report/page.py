"""The report's HTML: one file, no script, no request to anywhere."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from train.report import plots
from train.report.explain import explanations
from train.report.subject import Subject

STYLE = """
:root { --ink: #1d2733; --muted: #6b7785; --line: #e3e8ee; --blue: #2563a8; --orange: #b4550f; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 44px 0 2px; }
h3 { font-size: 14px; margin: 0 0 8px; color: var(--muted); font-weight: 600; }
p { margin: 4px 0 12px; color: var(--muted); }
.cards { display: grid; grid-template-columns: repeat(12, 1fr); gap: 16px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 16px; }
.card { grid-column: span 6; }
.wide { grid-column: span 12; } .third { grid-column: span 4; } .most { grid-column: span 8; }
.card svg { display: block; width: 100%; height: auto; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 10px 0 16px; }
.number b { display: block; font-size: 24px; line-height: 1.2; }
.number span { color: var(--muted); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--muted); font-weight: 600; font-size: 13px; }
td { text-align: right; } th, td { padding: 5px 8px; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
.tag { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 13px; }
.tag { white-space: nowrap; background: #e6effa; color: var(--blue); }
.tag.dependent { background: #fdeadb; color: var(--orange); }
@media (max-width: 760px) { .card, .third, .most { grid-column: span 12; } .scroll { overflow-x: auto; } }
"""


def page(subjects: Sequence[Subject], pngs: Path) -> str:
    """The whole page; every figure is also written into the folder ``pngs``."""
    draw = _Drawer(pngs)
    scored = [subject for subject in subjects if subject.metrics]
    title = subjects[0].name if len(subjects) == 1 else f"{len(subjects)} runs compared"
    body = [
        f"<h1>{escape(title)}</h1>",
        "<p>Last epochs only; nothing was chosen by the data it is judged on.</p>",
    ]
    if len(scored) > 1:
        body.append(_card("wide", "UAR side by side", draw("comparison", plots.comparison(scored))))
    if scored:
        body.append(_card("wide", "All figures", _table_of(scored)))
    body = [*body[:2], f'<div class="cards">{"".join(body[2:])}</div>']
    for number, subject in enumerate(subjects, start=1):
        body.append(_section(subject, draw, f"{number}-{subject.folder.name}"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body><main>\n{chr(10).join(body)}\n</main></body>\n</html>\n"
    )


class _Drawer:
    """Turns figures into inline SVG and leaves each as a PNG too."""

    def __init__(self, pngs: Path) -> None:
        self.pngs = pngs
        self.count = 0

    def __call__(self, name: str, figure: Figure) -> str:
        figure.savefig(self.pngs / f"{name}.png", dpi=150)
        self.count += 1
        text = io.StringIO()
        # A fixed salt and no date: equal runs, equal pages. Identifiers are per figure, a page holds many.
        import matplotlib

        with matplotlib.rc_context({"svg.hashsalt": f"figure {self.count}", "svg.fonttype": "none"}):
            figure.savefig(text, format="svg", metadata={"Date": None})
        svg = text.getvalue()
        svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>f{self.count}-", svg)
        return svg[svg.index("<svg") :]


def _section(subject: Subject, draw: _Drawer, name: str) -> str:
    tag = f'<span class="tag{" dependent" if subject.dependent else ""}">{escape(subject.protocol)}</span>'
    head = f"<h2>{escape(subject.folder.name)}</h2>\n<p>{escape(subject.description)}</p>\n{tag}\n"
    cards = []
    if subject.metrics:
        head += _numbers(subject)
        cards.append(_card("", "Confusion", draw(f"{name}-confusion", plots.confusion_matrix(subject))))
        cards.append(_card("", "Speakers, worst first", draw(f"{name}-speakers", plots.speakers(subject))))
        if subject.curves("loss").size:
            cards.append(_card("", "Learning", draw(f"{name}-learning", plots.learning_curves(subject))))
        cards.append(
            _card(
                "", "Can its confidence be believed?", draw(f"{name}-reliability", plots.reliability(subject))
            )
        )
        cards.append(_card("", "Classes", _classes(subject.metrics)))
        cards.append(_card("", "Parts", _parts(subject.metrics)))
        for number, each in enumerate(explanations(subject.runs[0]), start=1):
            figure = plots.spectrogram(
                each.log_mel, each.hop_s, each.importance, each.attention, each.duration_s, each.note
            )
            line = ", line: attention" if each.attention is not None else ""
            what = f"What it went by: green helped, orange hindered{line}"
            cards.append(_card("third", what, draw(f"{name}-explained-{number}", figure)))
    elif subject.curves("loss").size:
        cards.append(_card("wide", "Learning", draw(f"{name}-learning", plots.learning_curves(subject))))
    return f'<section>{head}<div class="cards">{"".join(cards)}</div></section>'


def _card(kind: str, title: str, content: str) -> str:
    return f'<div class="card {kind}"><h3>{escape(title)}</h3><div class="scroll">{content}</div></div>'


def _interval(metrics: dict[str, Any], key: str) -> str:
    low, high = metrics[f"{key}_interval"]
    return f"{low:.3f} – {high:.3f}"


def _numbers(subject: Subject) -> str:
    metrics = subject.metrics
    shown = [
        (f"{metrics['uar']:.3f}", f"UAR, {_interval(metrics, 'uar')}"),
        (f"{metrics['wa']:.3f}", f"WA, {_interval(metrics, 'wa')}"),
        (f"{metrics['macro_f1']:.3f}", "macro F1"),
        (f"{metrics['top_3']:.3f}", "among the best three"),
        (f"{metrics['ece']:.3f}", "calibration error"),
        (str(metrics["speakers"]), "speakers"),
    ]
    cells = "".join(f'<div class="number"><b>{value}</b><span>{name}</span></div>' for value, name in shown)
    return f'<div class="numbers">{cells}</div>'


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{each}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _table_of(subjects: Sequence[Subject]) -> str:
    rows = []
    for subject in subjects:
        metrics = subject.metrics
        kind = " dependent" if subject.dependent else ""
        size = f"{subject.parameters:,}" if subject.parameters else "–"
        rows.append(
            [
                escape(subject.folder.name),
                f'<span class="tag{kind}">{escape(subject.protocol)}</span>',
                f"<b>{metrics['uar']:.3f}</b>",
                _interval(metrics, "uar"),
                f"{metrics['wa']:.3f}",
                f"{metrics['macro_precision']:.3f}",
                f"{metrics['macro_f1']:.3f}",
                size,
            ]
        )
    return _rows(
        ["run", "protocol", "UAR", "95 % over speakers", "WA", "macro precision", "macro F1", "parameters"],
        rows,
    )


def _classes(metrics: dict[str, Any]) -> str:
    rows = [
        [
            escape(name),
            *(f"{each[key]:.3f}" for key in ("precision", "recall", "f1")),
            str(each["utterances"]),
        ]
        for name, each in metrics["per_class"].items()
    ]
    return _rows(["class", "precision", "recall", "F1", "utterances"], rows)


def _parts(metrics: dict[str, Any]) -> str:
    rows = [
        [escape(name), f"{each['uar']:.3f}", f"{each['wa']:.3f}", str(each["utterances"])]
        for key in ("per_gender", "per_corpus")
        for name, each in metrics[key].items()
    ]
    return _rows(["gender, corpus", "UAR", "WA", "utterances"], rows)
