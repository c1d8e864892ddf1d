"""``edge-ser classify --cluster``: the same results from the workers of a Dask cluster."""

from __future__ import annotations

import io
import json
import sys

import pytest
from small_models import LABELS, signal
from wav_bytes import s16, wav

from edge_ser import cli

distributed = pytest.importorskip("distributed", reason="Dask is not installed")


@pytest.fixture(scope="module")
def address():
    """A scheduler here and a worker with two threads in a process of its own."""
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for seed, label in enumerate(LABELS * 4):
        (folder / f"{seed:02}-{label}.wav").write_bytes(wav(s16(signal(label, seed, 1.2))))
    (folder / "05-bad.wav").write_bytes(b"RIFF")
    return folder


def test_a_cluster_gives_what_this_machine_gives(address, sounds, window_model, capsys):
    answers = []
    for where in (["--cluster", address], []):
        status = cli.run(
            ["classify", "--json", "--model", str(window_model), *where, str(sounds), "gone.wav"]
        )
        answers.append((status, *capsys.readouterr()))
    (status, out, err), (_, here, here_err) = answers
    assert (status, out) == (1, here)
    labels = [json.loads(line)["label"] for line in out.splitlines()]
    assert labels == LABELS * 4
    bad, gone = err.splitlines()
    assert bad == here_err.splitlines()[0] and "05-bad.wav" in bad
    assert gone.startswith("edge-ser classify: gone.wav: cannot be read")


def test_standard_input_goes_to_the_cluster_too(address, sounds, window_model, capsys, monkeypatch):
    data = (sounds / "01-high.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cli.run(["classify", "--json", "--model", str(window_model), "--cluster", address, "-"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "high"


def test_no_scheduler_is_a_line_and_status_5(sounds, window_model, capsys, monkeypatch):
    monkeypatch.setattr("edge_ser.cli.cluster.TIMEOUT_S", 1)
    words = ["classify", "--model", str(window_model), "--cluster", "127.0.0.1:9", str(sounds)]
    assert cli.run(words) == 5
    err = capsys.readouterr().err
    assert "no Dask scheduler answers at 127.0.0.1:9" in err and "Traceback" not in err
