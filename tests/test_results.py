"""docs/results.md: a run of the list becomes figures, figures become the page, and the page is up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from spoken_corpus import TINY, speak_emodb

pytest.importorskip("keras", reason="needs the train extra")

from edge_ser.errors import ConfigError
from train import results

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LISTING = f"""
[systems.1]
title = "The small one"
note = "Nobody has published it."
recipes = ["emodb-cnn"]

[systems.2]
title = "The other one"
recipes = ["iemocap-bilstm-attention"]

[runs.small-apart]
recipe = "emodb-cnn"
set = {[*TINY, "fit.epochs=1", "evaluation.split=group-kfold", "evaluation.folds=2", "evaluation.seeds=[3]"]}
note = "spoken by a machine"
"""


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docs folder with one run listed and nothing run."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "runs.toml").write_text(LISTING)
    monkeypatch.setattr(results, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(results, "FOLDER", tmp_path / "docs" / "results")
    return tmp_path / "docs"


def test_a_run_of_the_list_becomes_a_row(docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speak_emodb(tmp_path / "corpora")
    monkeypatch.setenv("EDGE_SER_CORPORA", str(tmp_path / "corpora"))
    assert "Not run yet." in results.write_results().read_text()
    results.run_results(["small-apart"], tmp_path / "runs", 1, lambda _: None)
    cv = json.loads((tmp_path / "runs" / "small-apart" / "cv.json").read_text())
    figures = json.loads((docs / "results" / "small-apart.json").read_text())
    assert figures["minutes_a_fit"] > 0.0
    page = results.write_results().read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| emodb-cnn (1) | emodb | ")]
    assert f"| **{cv['metrics']['uar']:.3f}** [" in row and "2 folds of speakers (speaker-indep" in row
    assert "(1) spoken by a machine.  " in page
    assert "unweighted accuracy 45 %" in page.split("## The other one")[1]  # published figures of a recipe
    # Whoever changes the list afterwards is not taken for somebody who has run it.
    listing = docs / "results" / "runs.toml"
    listing.write_text(listing.read_text().replace("fit.epochs=1", "fit.epochs=2"))
    assert (
        "spoken by a machine; runs.toml asks for a fuller run since." in results.write_results().read_text()
    )


def test_corpora_that_were_left_out_are_told_one_by_one() -> None:
    folds = [
        {"name": "emodb", "seed": 1, "uar": 0.8},
        {"name": "urdu", "seed": 1, "uar": 0.5},
        {"name": "emodb", "seed": 2, "uar": 0.6},
        {"name": "urdu", "seed": 2, "uar": 0.5},
    ]
    assert results._by_corpus(folds) == "UAR by corpus: emodb 0.700, urdu 0.500, mean 0.600"


def test_a_run_that_is_not_listed_is_named_with_the_nearest(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run 'small-apar' .*did you mean 'small-apart'"):
        results.run_results(["small-apar"], tmp_path / "runs", 1, lambda _: None)


def test_the_committed_page_is_what_the_committed_figures_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = (results.DOCS / "results.md").read_text(encoding="utf-8")
    monkeypatch.setattr(results, "DOCS", tmp_path)
    assert results.write_results().read_text(encoding="utf-8") == committed
