"""Cross-validation, executors and the report: the same figures however many workers, killed ones too."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from executor_tasks import die, wait_and_return
from spoken_corpus import TINY, speak_emodb

from edge_ser.errors import ConfigError, EdgeSerError
from train.backend import configure
from train.executor import LocalProcesses, open_executor
from train.recipe import Recipe, load_recipe
from train.selection import select

configure()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

from train.cross import cross_corpus  # noqa: E402
from train.cv import cross_validate  # noqa: E402
from train.nested import INNER_FOLDS  # noqa: E402
from train.report import write_report  # noqa: E402
from train.task import Task, run_task  # noqa: E402
from train.text import figures_text  # noqa: E402
from train.utterance import read_utterances  # noqa: E402

TWO_FOLDS = [*TINY, "fit.epochs=2", "evaluation.split=group-kfold", "evaluation.folds=2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Any:
    """What worker processes inherit: the corpora, a cache of their own, the checkout as their import path."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("EDGE_SER_CORPORA", str(corpus))
        patch.setenv("EDGE_SER_CACHE", str(cache))
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
        )
        patch.setattr("train.features.CACHE", cache / "features")
        yield


def validate(
    corpus: Path, folder: Path, *overrides: str, description: str = "", **options: Any
) -> dict[str, Any]:
    recipe = replace(load_recipe("emodb-cnn", [*TWO_FOLDS, *overrides]), description=description)
    utterances = select(recipe.data, corpus).utterances
    return cross_validate(recipe, utterances, corpus, folder, tell=lambda line: None, **options)


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation by one local worker, with two seeds."""
    folder = tmp_path_factory.mktemp("cv") / "alone"
    validate(corpus, folder, "evaluation.seeds=[0, 1]")
    return folder


def test_every_utterance_is_scored_once_a_seed_by_a_model_that_never_heard_its_speaker(alone: Path) -> None:
    cv = json.loads((alone / "cv.json").read_text())
    with (alone / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 48
    assert len({(row["seed"], row["path"]) for row in rows}) == 2 * 48
    assert cv["metrics"]["utterances"] == 96 and cv["metrics"]["speakers"] == 4
    assert [fold["folder"] for fold in cv["folds"]] == [
        "fold-01-seed-0", "fold-02-seed-0", "fold-01-seed-1", "fold-02-seed-1"
    ]  # fmt: skip
    for fold in cv["folds"]:
        speakers = []
        for name in ("train.csv", "held_out.csv"):
            with (alone / fold["folder"] / name).open(newline="") as file:
                speakers.append({row["speaker"] for row in csv.DictReader(file)})
        assert len(speakers[0]) == len(speakers[1]) == 2 and not speakers[0] & speakers[1]


def test_the_figure_over_seeds_is_their_mean(alone: Path) -> None:
    cv = json.loads((alone / "cv.json").read_text())
    assert cv["metrics"]["uar"] == pytest.approx(np.mean([each["uar"] for each in cv["per_seed"].values()]))


def test_the_text_says_what_a_figure_is_worth(alone: Path) -> None:
    text = figures_text(json.loads((alone / "cv.json").read_text()))
    assert "2 folds of speakers (speaker-independent)" in text
    assert re.search(r"UAR +0\.\d{3}  \[0\.\d{3}, [01]\.\d{3}\] over speakers", text)
    for part in ("gender female", "gender male", "corpus emodb", "seed 1", "top_3", "ece"):
        assert part in text


def test_finished_folds_are_kept(corpus: Path, alone: Path) -> None:
    path = alone / "fold-01-seed-0" / "run.json"
    before = path.stat().st_mtime_ns
    # Neither which seeds are asked for nor what is said of a recipe makes another fit.
    for seeds in ("[1, 0]", "[0, 1]"):
        validate(corpus, alone, f"evaluation.seeds={seeds}", description=f"In the order {seeds}.")
        assert path.stat().st_mtime_ns == before


def test_two_local_workers_give_the_same_predictions_as_one(
    corpus: Path, alone: Path, tmp_path: Path
) -> None:
    validate(corpus, tmp_path / "pair", "evaluation.seeds=[0, 1]", workers=2)
    assert (tmp_path / "pair" / "predictions.csv").read_text() == (alone / "predictions.csv").read_text()


def test_a_killed_local_worker_costs_its_own_task_only(tmp_path: Path) -> None:
    with LocalProcesses(2) as executor:
        doomed = executor.submit(wait_and_return, str(tmp_path), "doomed", 60.0)
        other = executor.submit(wait_and_return, str(tmp_path), "other", 1.0)
        while not (tmp_path / "doomed").is_file():
            time.sleep(0.02)
        os.kill(int((tmp_path / "doomed").read_text()), signal.SIGKILL)
        assert doomed.result(timeout=60) == 2  # begun again
        assert other.result(timeout=60) == 1  # never disturbed


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    """Or it would write into the folder that the next attempt continues."""
    command = [sys.executable, str(Path(__file__).with_name("executor_tasks.py")), str(tmp_path)]
    root = str(Path(__file__).parents[1])
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root})
    while not (tmp_path / "worker").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    worker = Path("/proc") / (tmp_path / "worker").read_text()
    assert worker.exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 300
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


def test_a_task_that_kills_every_worker_is_given_up_with_a_reason() -> None:
    with LocalProcesses(1) as executor, pytest.raises(EdgeSerError, match="lost its worker 4 times"):
        executor.submit(die).result()


def test_a_cluster_that_does_not_answer_is_an_error() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="--cluster nonsense"), open_executor(1, "nonsense"):
        pass


class Cluster(NamedTuple):
    """A real Dask scheduler's address and its two worker processes."""

    address: str
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    where = tmp_path / "scheduler.json"
    with (tmp_path / "dask.log").open("wb") as log, contextlib.ExitStack() as stack:

        def start(name: str, *options: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *options, "--no-dashboard"]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        scheduler = start("scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(where))
        while not where.is_file():
            assert scheduler.poll() is None, (tmp_path / "dask.log").read_text()
            time.sleep(0.05)
        address = json.loads(where.read_text())["address"]
        workers = [start("worker", address, "--nthreads", "1", "--no-nanny") for _ in range(2)]
        yield Cluster(address, workers)


def test_a_cluster_gives_the_same_predictions_when_a_worker_is_killed(
    corpus: Path, alone: Path, tmp_path: Path, cluster: Cluster
) -> None:
    def kill_one() -> None:
        while not list((tmp_path / "cv").glob(".fold-*.partial/checkpoint.npz")):
            time.sleep(0.02)
        cluster.workers[0].kill()

    (tmp_path / "cv").mkdir()
    killer = threading.Thread(target=kill_one)
    killer.start()
    result = validate(corpus, tmp_path / "cv", "evaluation.seeds=[0, 1]", cluster=cluster.address)
    killer.join()
    assert cluster.workers[0].wait() == -signal.SIGKILL
    assert (tmp_path / "cv" / "predictions.csv").read_text() == (alone / "predictions.csv").read_text()
    assert result["per_seed"] == json.loads((alone / "cv.json").read_text())["per_seed"]


def test_what_is_chosen_is_chosen_inside_the_fold(corpus: Path, tmp_path: Path) -> None:
    recipe = load_recipe("emodb-cnn", TWO_FOLDS)
    utterances = select(recipe.data, corpus).utterances
    held_out = tuple(each for each in utterances if each.speaker == "03")
    train = tuple(each for each in utterances if each.speaker != "03")
    choices = (("fit.epochs=1",), ("fit.epochs=2", "fit.batch_size=4"))
    task = Task(recipe.as_dict(), train, held_out, str(corpus), str(tmp_path / "fold"), 0, "", choices)
    run = json.loads((Path(run_task(task)) / "run.json").read_text())
    chosen = json.loads((tmp_path / "fold-choice" / "choice.json").read_text())
    best = int(np.argmax(chosen["inner_uar"]))
    assert chosen["chosen"] == list(choices[best])
    assert run["recipe"]["fit"]["epochs"] == best + 1
    inner = sorted((tmp_path / "fold-choice").glob("choice-*/run.json"))
    assert len(inner) == 2 * INNER_FOLDS
    for path in inner:
        heard = read_utterances(path.with_name("train.csv")) + read_utterances(path.with_name("held_out.csv"))
        assert "03" not in {each.speaker for each in heard}


def test_strangers_are_other_corpora(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "corpora"
    speak_emodb(other)
    (other / "emodb").rename(other / "mine")
    rows = ["path,speaker,emotion"]
    for path in sorted((other / "mine" / "wav").glob("16*.wav")) or sorted(
        (other / "mine" / "wav").glob("*N*.wav")
    ):
        path.write_bytes(path.read_bytes() + b"\0\0")  # not byte-identical to the other corpus
        rows.append(f"wav/{path.name},ann,neutral")
    (other / "mine" / "manifest.csv").write_text("\n".join(rows) + "\n")
    (other / "emodb").symlink_to(corpus / "emodb")
    recipe = load_recipe("emodb-cnn", [*TINY, "fit.epochs=1"])
    result = cross_corpus(recipe, ["emodb"], ["mine"], other, tmp_path / "run")
    assert "unseen corpora" in result["protocol"]
    assert result["metrics"]["per_corpus"]["mine"]["utterances"] == 16
    with pytest.raises(ConfigError, match="leak: corpus emodb"):
        cross_corpus(recipe, ["emodb"], ["mine", "emodb"], other, tmp_path / "leak")


def test_the_report_is_one_page_that_asks_nobody_for_anything(alone: Path, tmp_path: Path) -> None:
    write_report([alone, alone / "fold-01-seed-0"], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert html.startswith("<!doctype html>")
    assert not re.search(r'(src|href)="(?!#|data:)', html.replace("xlink:href", "href"))
    assert "<script" not in html
    for part in (
        "UAR side by side",
        "Confusion",
        "Speakers, worst first",
        "Learning",
        "believed",
        "What it went by",
    ):
        assert part in html
    identifiers = re.findall(r'\bid="([^"]+)"', html)
    assert len(identifiers) == len(set(identifiers))
    assert "speaker-independent" in html
    pngs = {path.name for path in (tmp_path / "report-png").iterdir()}
    assert {"comparison.png", "1-alone-confusion.png", "1-alone-explained-1.png"} <= pngs


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither a run \(run.json\) nor a cross-validation"):
        write_report([tmp_path], tmp_path / "report.html")


def test_the_plain_baseline_runs_in_the_same_harness(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    recipe: Recipe = load_recipe(
        "baseline-egemaps",
        ["data.labels=['anger', 'neutral', 'sadness']", "model.options.c=1"],
    )
    utterances = select(recipe.data, corpus).utterances
    result = cross_validate(recipe, utterances, corpus, tmp_path / "cv", tell=lambda line: None)
    assert result["metrics"]["uar"] > 0.6
