"""``edge-ser info``."""

from __future__ import annotations

import json

import pytest

from edge_ser import cli
from edge_ser.model import DEFAULT_MODEL, Model, shipped_models


@pytest.fixture
def info(capsys):
    def run(*words):
        status = cli.run(["info", *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_model_is_described_in_a_page(info, window_model):
    status, out, err = info(window_model)
    assert (status, err) == (0, "")
    assert "labels      low, high, noise\n" in out
    assert "hears       16000 Hz mono, 1 s at a time, every 0.5 s\n" in out
    assert f"graph       {len(Model.load(window_model).graph):,} bytes, int8: CONV_2D, " in out


def test_a_step_model_says_its_step(info, step_model):
    assert "a step of 80 ms after another, with a state" in info(step_model)[1]


def test_without_a_name_it_is_the_shipped_model(info):
    status, out, _ = info()
    assert status == 0 and out.startswith(f"model       {DEFAULT_MODEL} (")


def test_the_models_that_are_installed_are_listed_the_default_first(info):
    status, out, _ = info("--list")
    lines = out.splitlines()
    assert status == 0 and [line.split()[0] for line in lines] == shipped_models()
    assert lines[0].startswith(f"{DEFAULT_MODEL}  (default) ") and "(default)" not in "".join(lines[1:])
    for line in lines:
        model = Model.load(line.split()[0])
        assert f" {model.form}; {', '.join(model.labels)}; " in line and "; UAR 0." in line
        strangers = model.record["evaluation"].get("strangers")
        if strangers:
            figure = f"UAR {strangers['mean']['plain']['uar']:.3f}"
            assert line.endswith(f"; {figure} in unheard corpora")
            assert f"{figure} [" in info(model.name)[1]
    records = [json.loads(line) for line in info("--list", "--json")[1].splitlines()]
    assert [record["name"] for record in records] == shipped_models()


def test_json_is_the_whole_record(info, window_model):
    record = json.loads(info("--json", window_model)[1])
    assert (record["v"], record["type"], record["file"]) == (1, "model", str(window_model))
    assert record["frontend"] == Model.load(window_model).record["frontend"]


def test_the_card_is_printed_as_it_is(info, window_model):
    assert info("--card", window_model)[1] == "# A model for tests\n"


def test_the_self_test_says_what_differs(info, window_model):
    status, out, _ = info("--self-test", window_model)
    assert status == 0
    verdict, _, rest = out.partition(": ")
    assert verdict == "self-test passed on ai_edge_litert"
    assert rest == "features differ by up to 0 step(s) (0.00% of them), scores by 0\n"
    record = json.loads(info("--self-test", "--json", window_model)[1])
    assert (record["passed"], record["runtime"], record["score_difference"]) == (True, "ai_edge_litert", 0)


def test_a_failed_self_test_is_status_3(info, window_model, monkeypatch):
    monkeypatch.setattr("edge_ser.self_test.SCORE_TOLERANCE", -1)
    status, out, err = info("--self-test", window_model)
    assert status == 3 and out.startswith("self-test FAILED") and "something else" in err


def test_a_bad_model_is_status_3(info, tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    status, out, err = info(tmp_path / "m.tflite")
    assert (status, out) == (3, "") and err.count("\n") == 1 and "not a model of edge_ser" in err
