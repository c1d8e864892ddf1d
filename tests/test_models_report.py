"""docs/models.md is what its script makes of the committed figures, and shows whatever figures there are."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

from convert.shipped import shipped
from convert.tables import loss, short_table
from edge_ser.model import DEFAULT_MODEL

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import models_figures, models_plot, nonspeech
from benchmarks import models_report as report

ANCHORS = json.loads((models_figures.RESULTS / "anchors.json").read_text())


def test_the_page_is_what_the_committed_figures_make_it():
    assert report.PAGE.read_text() == report.page()


def test_every_shipped_model_and_every_anchor_is_on_the_page_and_in_the_plot():
    page, plot = report.PAGE.read_text(), models_plot.PLOT.read_text()
    for name in shipped():
        assert f"[{name}](../edge_ser/models/{name}.md)" in page
    assert f"[{DEFAULT_MODEL}](../edge_ser/models/{DEFAULT_MODEL}.md) (the default)" in page
    for each in ANCHORS["systems"]:
        assert each["system"] in page
        assert each["system"].replace("'", "&#39;") in plot.replace("&apos;", "&#39;").replace("'", "&#39;")


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Evaluations of the default model in both protocols, and one of several corpora, with what is added."""
    monkeypatch.setattr(models_figures, "EVALUATIONS", tmp_path)
    entry = {"float": 0.81, "int8": 0.8, "interval": [0.75, 0.85]}
    apart = {
        "protocol": "leave one speaker out (speaker-independent)",
        "seeds": [11, 12, 13],
        "uar": entry,
        "wa": {**entry, "int8": 0.82},
        "per_corpus": {"emodb": {"uar": 0.8}},
        "file_bytes": 99000,
    }
    stamp = {"command": "python -m convert …", "git_commit": "0" * 40, "machine": "m", "date": "2026-01-01"}
    row = {"float": 0.8, "int8": 0.79, "interval": [0.7, 0.9], "refused": 0.0}
    apart["robustness"] = {
        **stamp,
        "protocol": apart["protocol"],
        "folds": 10,
        "utterances": 535,
        "limit": {"int8": 0.47},
        "halved": ["8 kHz source"],
        "rows": [{**row, "what": "as recorded"}, {**row, "what": "8 kHz source", "int8": 0.3}],
    }
    case = {"uar": 0.55, "interval": [0.5, 0.6], "shares": [0.7, 0.3], "swallowed_by": ["anger"]}
    cases = {name: copy.deepcopy(case) for name in ("float", "plain", "profile", "any_mood", "adapt")}
    several = {
        **apart,
        "per_corpus": {"emodb": {"uar": 0.8}, "tess": {"uar": 0.7}},
        "strangers": {
            **stamp,
            "labels": ["anger", "sadness"],
            "rows": [{"corpus": "tess", "seeds": [11], "true_shares": [0.25, 0.75], **cases}],
            "mean": cases,
        },
    }
    mixed = {**apart, "protocol": "10 random folds (speaker-dependent)", "uar": {**entry, "int8": 0.95}}
    for name, evaluation in {
        DEFAULT_MODEL: apart,
        f"{DEFAULT_MODEL}-random": mixed,
        "many": several,
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(evaluation))
    return models_figures.evaluations()


def test_both_protocols_stand_in_one_row(figures):
    assert set(figures[DEFAULT_MODEL]) == {"apart", "mixed"}
    rows = report.side_by_side("emodb", figures, []).splitlines()
    [row] = [line for line in rows if DEFAULT_MODEL in line]
    assert "| **80.0 %** (75.0–85.0 %) / 82.0 % | **95.0 %** (75.0–85.0 %) / 82.0 % | " in row
    assert "ours; speakers apart, int8 costs " in row and "; speakers mixed, int8 costs " in row
    assert "80.0 % (75.0–85.0 %; 3 seeds) | 95.0 % " in report.shipped_table(figures)


def test_a_model_of_several_corpora_has_a_table_of_its_own(figures):
    assert "many" not in report.side_by_side("emodb", figures, [])
    assert "| **many** | speakers apart | " in report.several_corpora(figures)
    assert "emodb 80.0 %; tess 70.0 %" in report.several_corpora(figures)


def test_a_condition_that_halves_the_figure_is_bold(figures):
    text = report.robustness(figures)
    assert "| 8 kHz source | **80.0 % → 30.0 %** |" in text and "| as recorded | 80.0 % → 79.0 % |" in text
    assert "**halves what is above chance: 8 kHz source**" in text


def test_how_sure_a_model_is_of_a_piece_stands_beside_how_often_it_is_right(figures):
    before = {"said": 0.8, "answered": 0.9, "right_of_answers": 0.5}
    row = {"length_s": 0.5, "pieces": 9, "refused": 1, "right": 0.48, "before": before}
    row["after"] = {"said": 0.5, "answered": 0.4, "right_of_answers": None}
    part = {**figures[DEFAULT_MODEL]["apart"]["robustness"], "full_s": 1.5, "exponent": 0.7, "seeds": [11]}
    figures["many"]["apart"]["short"] = part | {"rows": [row, row | {"length_s": 2.0}]}
    figures[DEFAULT_MODEL]["apart"]["short"] = part | {"rows": [row]}
    text = report.little_speech(figures)
    assert "| 0.5 s | 48.0 % / 50.0 % (80.0 %); 40.0 % | 48.0 %" in text
    assert "| 2 s | – | 48.0 % / 50.0 %" in text or "| 2 s | 48.0 % / 50.0 % (80.0 %); 40.0 % | – |" in text
    assert "min(1, s / 1.5) ^ 0.7; leave one speaker out (speaker-independent), seeds 11, 10 folds" in text
    assert "| 0.5 s | 48% | 50% (80%) | 40% (90%) | – |" in short_table(part | {"rows": [row]})


def test_strangers_stand_beside_the_baseline_and_what_swallows_is_bold(figures):
    text = report.strangers(figures, ANCHORS)
    assert "| tess | 55.0 % | 55.0 % (50.0–60.0 %) | " in text and " | 50.5 % |" in text
    assert "| mean | 55.0 % | " in text and " | 49.6 % |" in text
    assert "said, as is | **70.0 %** | 30.0 % |" in text


def test_a_model_known_by_strangers_alone_is_shown_by_them(figures, tmp_path):
    part = figures["many"]["apart"]["strangers"]
    (tmp_path / f"{DEFAULT_MODEL}.json").write_text(json.dumps({"strangers": part}))
    (tmp_path / f"{DEFAULT_MODEL}-random.json").unlink()
    alone = models_figures.evaluations()
    [row] = [line for line in report.shipped_table(alone).splitlines() if "(the default)" in line]
    assert "| – | – | 55.0 % of 1 |" in row
    assert DEFAULT_MODEL not in report.several_corpora(alone)
    assert DEFAULT_MODEL not in report.side_by_side("emodb", alone, [])
    assert f"### {DEFAULT_MODEL}" in report.strangers(alone, ANCHORS)


def test_models_of_one_corpus_stand_beside_those_of_several_abroad(figures, tmp_path, monkeypatch):
    stamp = {"command": "python -m benchmarks.foreign", "git_commit": "0" * 40, "machine": "m", "date": "d"}
    single = {"corpora": {"tess": {"uar": 0.3}, "urdu": {"uar": 0.9}}, "mean": 0.6}
    (tmp_path / "foreign.json").write_text(json.dumps({**stamp, "every": 4, "models": {"one": single}}))
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    lines = report.side_by_side_abroad(figures).splitlines()
    assert "| one | 30.0 % | 30.0 % |" in lines and "| many | 55.0 % | 55.0 % |" in lines


def test_the_plot_is_made_again_byte_for_byte(figures, tmp_path, monkeypatch):
    made = []
    for name in ("one.svg", "two.svg"):
        monkeypatch.setattr(models_plot, "PLOT", tmp_path / name)
        models_plot.plot(figures, ANCHORS["systems"])
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1] and DEFAULT_MODEL.encode() in made[0]


def test_what_sounds_became_is_kept_model_by_model(tmp_path):
    path = tmp_path / "nonspeech.json"
    for name, commit in (("two", "a"), ("one", "b"), ("two", "c")):
        nonspeech.keep(path, name, {"git_commit": commit})
    found = json.loads(path.read_text())
    assert found["models"] == {"one": {"git_commit": "b"}, "two": {"git_commit": "c"}}
    assert list(found["models"]) == ["one", "two"] and found["outcomes"] == list(nonspeech.OUTCOMES)


def test_what_int8_costs_is_said_in_points():
    assert loss(0.8261, 0.8230, [-0.0012, 0.0074]) == "int8 costs +0.3 points of UAR (95 %: −0.1 to +0.7)"
    assert loss(0.8261, 0.8264, None) == "int8 costs 0 points of UAR"
