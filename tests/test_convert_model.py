"""A run becomes a model file that the device accepts, or a reason why not: windows, steps, the gate, the
card.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from spoken_corpus import TINY, speak_emodb

from edge_ser.classifier import Classifier
from edge_ser.engine import Engine
from edge_ser.model import Model
from train.backend import configure

configure()

from convert import adapt, parity  # noqa: E402
from convert.__main__ import main  # noqa: E402
from convert.adapt import learnt_from, spare  # noqa: E402
from convert.calibration import choose  # noqa: E402
from convert.data import Source, in_chunks  # noqa: E402
from convert.run import read_run  # noqa: E402
from convert.tables import loss  # noqa: E402
from train.fit import fit  # noqa: E402
from train.models import load_model  # noqa: E402
from train.recipe import RECIPES, load_recipe  # noqa: E402
from train.selection import select  # noqa: E402
from train.utterance import write_utterances  # noqa: E402

STEP = [each for each in TINY if not each.startswith(("model.", "input."))]
STEP += ["model.options={chunk_frames = 4, chunk_units = 12, units = 10, layers = 2}", "fit.epochs=2"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def runs(corpora, tmp_path_factory):
    """Real fits with speaker 08 held out: the window CNN, the same for longer, and the streaming GRU."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.features.CACHE", folder / "cache")
        patch.setenv("EDGE_SER_CORPORA", str(corpora))
        patch.setenv(
            "EDGE_SER_TFLITE_PYTHON", "/nonexistent"
        )  # tests/test_convert_int8.py compares interpreters
        patch.setattr(parity, "MIN_AGREEMENT", 0.5)  # one speaker's 12 utterances and 3 epochs decide nothing
        patch.setattr(parity, "MAX_UAR_LOSS", 0.5)
        for name, of, overrides in (
            ("emodb-cnn", "emodb-cnn", TINY),
            ("emodb-gru", "emodb-gru", STEP),
            ("learnt", "emodb-cnn", [*TINY, "fit.epochs=16", "optimizer.learning_rate=1e-2"]),
        ):
            recipe = load_recipe(of, overrides)
            utterances = select(recipe.data, corpora).utterances
            train = [each for each in utterances if each.speaker != "08"]
            held_out = [each for each in utterances if each.speaker == "08"]
            fit(recipe, train, held_out, corpora, folder / name, quiet=True)
        yield folder


@pytest.fixture(scope="module")
def window(runs):
    path = runs / "window.tflite"
    arguments = [str(runs / "emodb-cnn"), "-o", str(path), "--card", str(runs / "card.md")]
    assert main([*arguments, "--report", str(runs / "report.json")]) == 0
    return path


@pytest.fixture(scope="module")
def step(runs):
    path = runs / "step.tflite"
    assert main([str(runs / "emodb-gru"), "-o", str(path), "--name", "a-step", "--chunk", "8"]) == 0
    return path


def test_the_file_loads_tests_itself_and_classifies(window, corpora):
    model = Model.load(window)
    assert (model.form, model.name, model.labels) == ("window", "window", ["anger", "neutral", "sadness"])
    assert model.self_test().passed
    prediction = Classifier(model=str(window)).classify(str(next((corpora / "emodb/wav").glob("08*W*.wav"))))
    assert sum(prediction.scores.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_window_shorter_than_the_golden_second_tests_itself(runs, corpora, tmp_path):
    recipe = load_recipe("emodb-cnn", [*TINY, "input.length_s=0.5", "input.hop_s=0.25", "fit.epochs=1"])
    utterances = select(recipe.data, corpora).utterances
    fit(recipe, utterances[::2], utterances[1::2], corpora, tmp_path / "run", quiet=True)
    path = tmp_path / "short.tflite"
    assert main([str(tmp_path / "run"), "-o", str(path), "--fine-tune", "0", "--allow-failed-parity"]) == 0
    assert Model.load(path).self_test().passed


def test_the_card_and_the_report_say_what_the_record_says(window, runs):
    model = Model.load(window)
    assert model.card == (runs / "card.md").read_text()
    report = json.loads((runs / "report.json").read_text())
    assert report == model.record["evaluation"]["parity"]
    assert report["on"] == "1 held-out speaker" and report["utterances"] == 12
    assert set(report["per_class"]) == set(model.labels)
    assert report["worst_logit_difference"] < 0.1 * report["logit_range"]
    worst = [entry["worst_logit_difference"] for entry in report["per_class"].values()]
    assert max(worst) == report["worst_logit_difference"] and len(set(worst)) == 3
    assert "Not compared with tflite-runtime" in model.card
    assert "CC0-1.0" in model.card and "1 held-out speaker" in model.card


@pytest.mark.parametrize(
    ("sections", "words", "further"),
    [
        (["encoder"], "Of what it learnt, 40.0 % is the opinion of a linear SVM", "that opinion"),
        (
            ["teacher"],
            "Of what its teachers, of recipe `multi-cnn`, learnt, 60.0 % is the opinion",
            "that opinion and the teachers' answers",
        ),
        (
            ["encoder", "teacher"],
            "Of what it learnt, 10.0 %, and of what its teachers, of recipe `multi-cnn`, learnt, 60.0 % is",
            "that opinion and the teachers' answers",
        ),
    ],
)
def test_the_card_says_whose_opinion_was_learnt(window, runs, tmp_path, sections, words, further):
    assert "opinion" not in Model.load(window).card
    teacher = tmp_path / "teacher.toml"
    plain = (RECIPES / "multi-cnn.toml").read_text()
    teacher.write_text(plain.replace("[encoder]\nweight = 0.7", "[encoder]\nweight = 0.6"))
    run = shutil.copytree(runs / "emodb-cnn", tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    told = {"encoder": {"weight": 0.4}, "teacher": {"recipe": str(teacher), "weight": 0.75}}
    record["recipe"] |= {section: told[section] for section in sections}
    (run / "run.json").write_text(json.dumps(record))
    write_utterances(run / "further.csv", read_run(run).train[:5])
    path = tmp_path / "taught.tflite"
    assert main([str(run), "-o", str(path), "--fine-tune", "0", "--allow-failed-parity"]) == 0
    card = Model.load(path).card
    assert words in card and "BSD-2-Clause" in card
    assert f"5 recordings of other emotions by the same speakers were learnt by {further} alone" in card


def test_a_second_conversion_gives_the_same_bytes(window, runs, tmp_path):
    again = tmp_path / "window.tflite"
    assert main([str(runs / "emodb-cnn"), "-o", str(again)]) == 0
    assert again.read_bytes() == window.read_bytes()


def test_the_step_file_hears_a_stream_as_it_hears_a_recording(step):
    model = Model.load(step)
    assert (model.form, model.name, model.frames, len(model.record["state"])) == ("step", "a-step", 8, 2)
    assert model.self_test().passed
    rng = np.random.default_rng(5)
    samples = (0.2 * rng.standard_normal(30000)).astype(np.float32)
    engine = Engine(model)
    whole = np.concatenate([engine.push(samples), engine.finish()])
    assert len(whole) > 3
    for block in (1, 160, 777, 8000):
        if block == 1:
            samples_here, expected = samples[:4000], None
            engine.reset()
            expected = np.concatenate([engine.push(samples_here), engine.finish()])
        else:
            samples_here, expected = samples, whole
        engine.reset()
        parts = [engine.push(samples_here[at : at + block]) for at in range(0, len(samples_here), block)]
        np.testing.assert_array_equal(np.concatenate([*parts, engine.finish()]), expected)


def test_a_short_recording_is_compared_as_the_device_hears_it(step, runs, corpora):
    """The float logits of the gate are Keras's for the chunks that the file's engine runs."""
    run = read_run(runs / "emodb-gru")
    source = Source(run, corpora)
    inputs = source.inputs(run.held_out)
    model = Model.load(step)
    assert model.record["window"]["repeat_to_s"] == 1.536 and model.repeat_chunks == 12
    assert "what is shorter than 1.536 s is heard again from its start" in model.card
    engine, repeated = Engine(model), 0
    for features, utterance in zip(inputs.features, run.held_out, strict=True):
        heard = in_chunks(features, model.frames, inputs.repeat_frames)
        codes = engine.features(source.extractor.samples(utterance)).reshape(-1, len(run.mean))
        assert len(codes) == len(heard) >= 96
        scale, zero_point = (model.record["input"][key] for key in ("scale", "zero_point"))
        np.testing.assert_allclose(codes, np.clip(np.rint(heard / scale + zero_point), -128, 127), atol=1)
        repeated += len(heard) > len(features)
    assert repeated > 3
    assert len(in_chunks(inputs.features[0], 8, 0)) == len(inputs.features[0]) // 8 * 8


def test_how_long_a_step_model_hears_at_least_can_be_chosen(runs, tmp_path, capsys):
    path = tmp_path / "once.tflite"
    assert main([str(runs / "emodb-gru"), "-o", str(path), "--repeat-to-s", "0"]) == 0
    model = Model.load(path)
    assert "repeat_to_s" not in model.record["window"] and model.repeat_chunks == 0
    assert "heard again" not in model.card
    assert main([str(runs / "emodb-gru"), "-o", str(path), "--repeat-to-s", "4"]) == 5
    assert "--repeat-to-s must be between 0 and 3" in capsys.readouterr().err


def test_how_much_is_heard_of_what_is_before_the_first_sound_can_be_chosen(runs, corpora, tmp_path, capsys):
    path = tmp_path / "m.tflite"
    folder = runs / "emodb-cnn"
    assert main([str(folder), "-o", str(path), "--lead-s", "0.3"]) == 0
    model = Model.load(path)
    assert model.lead_s == 0.3
    assert "a recording is heard from 0.3 s before its first sound" in model.card
    assert main([str(folder), "-o", str(path)]) == 0
    assert Model.load(path).lead_s == 0 and "before its first sound" not in Model.load(path).card
    assert main([str(folder), "-o", str(path), "--lead-s", "-1"]) == 5
    assert "--lead-s must be between 0 and 3" in capsys.readouterr().err
    run = read_run(folder)
    run.record["recipe"]["input"]["lead_s"] = 0.5
    assert (Source(run, corpora).lead_s, Source(run, corpora, lead_s=0.2).lead_s) == (0.5, 0.2)


def test_what_fails_the_gate_is_not_written_unless_told(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parity, "MIN_AGREEMENT", 1.01)
    path = tmp_path / "bad.tflite"
    assert main([str(runs / "emodb-cnn"), "-o", str(path)]) == 3
    message = capsys.readouterr().err
    assert "not written, labels agree on" in message and message.count("\n") == 1
    assert not path.exists()
    assert main([str(runs / "emodb-cnn"), "-o", str(path), "--allow-failed-parity"]) == 0
    assert "failed its parity check and was written all the same" in Model.load(path).card


def test_a_run_that_int8_harms_is_fine_tuned_without_being_asked_and_kept_where_that_helps(runs, tmp_path):
    """One channel 300 times as loud as the others takes all the codes of its layer; float does not mind.
    Whether three epochs mend that for so small a net hangs on the last bit of its features.
    """
    run = shutil.copytree(runs / "learnt", tmp_path / "run")
    unbalance(run, 300.0)
    arguments = [str(run), "-o", str(tmp_path / "x.tflite"), "--report", str(tmp_path / "report.json")]
    reports = []
    for option in ([], ["--fine-tune", "0"]):
        assert main([*arguments, *option, "--allow-failed-parity"]) == 0
        reports.append(json.loads((tmp_path / "report.json").read_text()))
        reports[-1]["card"] = Model.load(tmp_path / "x.tflite").card
    tuning, switched_off = reports[0]["fine_tuning"], reports[1]["fine_tuning"]
    before, after = tuning["tried"].values()
    assert before["uar_loss_points"] > 0.5
    helped = after["rms_logit_difference"] < before["rms_logit_difference"]
    said = "Fine-tuned to int8 for 3 epochs: int8 cost too much" if helped else "it did not help"
    assert tuning["epochs"] == (3 if helped else 0) and said in reports[0]["card"]
    assert "training utterances kept apart" in reports[0]["card"]
    assert switched_off == {"epochs": 0, "why": "asked for"}


def test_a_state_too_coarse_in_eight_bits_gets_sixteen_without_being_asked(runs, tmp_path, monkeypatch):
    """Half of the units move by less than half a code a step, so in int8 never, and they alone decide."""
    monkeypatch.setattr(adapt, "EPOCHS", 1)
    run = shutil.copytree(runs / "emodb-gru", tmp_path / "run")
    model = load_model(run / "model.keras")
    cell = [layer for layer in model.layers if type(layer).__name__ == "GRU"][-1].cell
    slow, fast = slice(0, cell.units // 2), slice(cell.units // 2, cell.units)
    bias, kernel = np.array(cell.bias), np.array(cell.kernel)
    bias.reshape(-1, 3 * cell.units)[0, slow] += 4.5  # of the update gate
    kernel[:, 2 * cell.units :][:, fast] *= 10  # so that the state's range is all of -1 to 1
    cell.bias.assign(bias)
    cell.kernel.assign(kernel)
    head = [layer for layer in model.layers if type(layer).__name__ == "Dense"][-1]
    weights = np.array(head.kernel)
    weights[slow], weights[fast] = 30 * weights[slow], 0
    head.kernel.assign(weights)
    head.bias.assign(np.zeros(head.units))
    model.save(run / "model.keras", include_optimizer=False)
    arguments = [str(run), "-o", str(tmp_path / "x.tflite"), "--allow-failed-parity"]
    assert main(arguments) == 0
    record = Model.load(tmp_path / "x.tflite").record
    tuning = record["evaluation"]["parity"]["fine_tuning"]
    tried = {way: cost["label_agreement"] for way, cost in tuning["tried"].items()}
    assert list(tried)[:3] == ["int8", "int8, fine-tuned", "16-bit state"]
    assert tried["16-bit state"] > max(tried["int8"], tried["int8, fine-tuned"])
    assert tuning["way"].startswith("16-bit state")
    assert {state["dtype"] for state in record["state"]} == {"int16"}
    card = Model.load(tmp_path / "x.tflite").card
    assert "with a 16-bit state: int8 cost too much" in card and "16-bit state: UAR loss" in card


def test_the_held_out_speakers_have_no_say_in_fine_tuning(runs, window):
    """What decides is of the training list, and neither calibrates nor fine-tunes."""
    run = read_run(runs / "emodb-cnn")
    calibrates = choose(run.train, 2, 0)
    apart = spare(run, calibrates)
    assert apart and not set(apart) & set(calibrates)
    tuning = Model.load(window).record["evaluation"]["parity"]["fine_tuning"]
    assert (tuning["utterances"], tuning["mixtures"]) == (len(apart), 400)
    learnt = learnt_from(run, calibrates)
    assert not {each.path for each in learnt} & {run.train[index].path for index in apart}
    assert not {each.path for each in learnt} & {each.path for each in run.held_out}
    assert len(learnt) == len(run.train) - len(apart)


def unbalance(run: Path, factor: float):
    """Make the first channel of the last block louder and the weights behind it smaller by ``factor``."""
    model = load_model(run / "model.keras")
    norm = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"][-1]
    dense = model.get_layer("emotion")
    gain = np.ones(norm.gamma.shape[0], np.float32)
    gain[0] = factor
    norm.gamma.assign(np.asarray(norm.gamma) * gain)
    norm.beta.assign(np.asarray(norm.beta) * gain)
    dense.kernel.assign(np.asarray(dense.kernel) / gain[:, np.newaxis])
    model.save(run / "model.keras", include_optimizer=False)


def test_folds_give_figures_temperature_and_threshold(runs, tmp_path):
    folder = tmp_path / "cv"
    shutil.copytree(runs / "emodb-cnn", folder / "fold-01-seed-0")
    cv = {"folds": [{"folder": "fold-01-seed-0"}], "protocol": "leave one speaker out", "seeds": [0]}
    cv |= {"recipe_name": "emodb-cnn", "git_commit": "", "manifest_digest": "", "labels": []}
    (folder / "cv.json").write_text(json.dumps(cv))
    output = tmp_path / "figures.json"
    assert main(["cv", str(folder), "-o", str(output)]) == 0
    figures = json.loads(output.read_text())
    assert figures["utterances"] == 12 and figures["speakers"] == 1
    assert figures["folds_parity"]["chain_agreement"] >= 11 / 12
    assert 0.25 <= figures["calibration"]["temperature"] <= 8
    path = tmp_path / "with.tflite"
    assert main([str(runs / "emodb-cnn"), "-o", str(path), "--evaluation", str(output)]) == 0
    model = Model.load(path)
    assert model.temperature == figures["calibration"]["temperature"]
    assert f"{100 * figures['uar']['int8']:.1f} %" in model.card


@pytest.mark.parametrize("names", [("emodb-cnn", "learnt"), ("emodb-gru", "emodb-gru")])
def test_seeds_are_pooled_and_told_apart(runs, tmp_path, names):
    """A window and a step model; two seeds count each utterance once."""
    folder = tmp_path / "cv"
    for seed, name in enumerate(names):
        edit(shutil.copytree(runs / name, folder / f"fold-01-seed-{seed}"), seed=seed)
    folds = [{"folder": f"fold-01-seed-{seed}"} for seed in (0, 1)]
    cv = {"folds": folds, "protocol": "leave one speaker out", "seeds": [0, 1], "labels": []}
    cv |= {"recipe_name": names[0], "git_commit": "", "manifest_digest": ""}
    (folder / "cv.json").write_text(json.dumps(cv))
    output = tmp_path / "figures.json"
    assert main(["cv", str(folder), "-o", str(output)]) == 0
    figures = json.loads(output.read_text())
    assert (figures["utterances"], figures["speakers"], figures["folds"]) == (12, 1, 1)
    assert figures["folds_parity"]["on"] == "the held-out speakers of all 1 folds of 2 seeds"
    assert sum(entry["utterances"] for entry in figures["per_class"].values()) == 12
    [(gender, entry)] = figures["per_gender"].items()
    assert (gender, entry["utterances"]) == ("female", 12) and 0 <= entry["uar_float"] <= 1
    assert set(figures["per_seed"]) == {"0", "1"}
    mean = np.mean([entry["wa"] for entry in figures["per_seed"].values()])
    assert mean == pytest.approx(figures["wa"]["int8"])
    path = tmp_path / "with.tflite"
    assert main([str(runs / names[0]), "-o", str(path), "--evaluation", str(output)]) == 0
    card = Model.load(path).card
    low, high = (100 * bound for bound in figures["uar"]["float_interval"])
    assert f"{100 * figures['uar']['float']:.1f} % | {low:.1f}–{high:.1f} % |" in card
    assert "| gender | utterances | UAR, float | UAR, int8 |" in card
    assert "UAR of each seed, int8: 0: " in card
    lost = figures["uar"]["float"] - figures["uar"]["int8"]  # of one speaker, whoever is drawn
    assert figures["uar"]["loss_interval"] == pytest.approx([lost, lost])
    points = figures["folds_parity"]["uar_loss_points"]
    assert figures["folds_parity"]["uar_loss_points_interval"] == pytest.approx([points, points])
    assert loss(figures["uar"]["float"], figures["uar"]["int8"], [lost, lost]) in card


def test_the_card_has_the_cost_of_its_own_graph_and_of_no_other(window, runs, tmp_path):
    evaluation, counts, again = (tmp_path / name for name in ("e.json", "counts.json", "window.tflite"))
    stages = {"the network of window": 1, "network: a window, window": 1234567, "network: a window, other": 2}
    measure = ["measure", str(window), "-o", str(evaluation), "--min-secs", "0", "--counts", str(counts)]
    assert "not measured" in Model.load(window).card
    counts.write_text(json.dumps({"graphs": {"window": "0" * 64}, "cortex-a53": stages}))
    assert main(measure) == 0  # counts of another graph under this name are none of its
    assert "instructions" not in evaluation.read_text()
    digest = Model.load(window).record["graph"]["sha256"]
    counts.write_text(json.dumps({"graphs": {"window": digest}, "cortex-a53": stages}))
    assert main(measure) == 0
    part = json.loads(evaluation.read_text())["measured"]
    assert part["graph_sha256"] == digest
    assert part["rows"][-1] == ["network: a window", "1,234,567 instructions", "cortex-a53, emulated"]
    assert [what for what, _, _ in part["rows"][:-1]] == [
        f"{stage}, a window of 1 s" for stage in ("front end", "network", "samples to probabilities")
    ]
    assert all(float(value.split(" ms")[0]) > 0 for _, value, _ in part["rows"][:-1])
    assert main([str(runs / "emodb-cnn"), "-o", str(again), "--evaluation", str(evaluation)]) == 0
    assert "1,234,567 instructions" in Model.load(again).card
    assert main([str(runs / "learnt"), "-o", str(again), "--evaluation", str(evaluation)]) == 0
    card = Model.load(again).card
    assert "not measured" in card and "1,234,567" not in card
    counts.write_text("[]")
    assert main(measure) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: (run / "run.json").unlink(), "not a run folder"),
        (lambda run: edit(run, schema=2), "schema 2, this converter reads 1"),
        (lambda run: edit(run, labels=None), "'labels' is missing"),
        (lambda run: (run / "model.keras").write_bytes(b"PK nonsense"), "not a Keras 3 model"),
        (lambda run: (run / "model.keras").unlink(), "no such file"),
        (lambda run: (run / "train.csv").write_text("path\n"), "lists of utterances are damaged"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(runs, tmp_path, capsys, change, words):
    run = shutil.copytree(runs / "emodb-cnn", tmp_path / "run")
    change(run)
    assert main([str(run), "-o", str(tmp_path / "x.tflite")]) == 3
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "x.tflite").exists()


def edit(run: Path, **values):
    record = json.loads((run / "run.json").read_text())
    record.update(values)
    (run / "run.json").write_text(json.dumps({k: v for k, v in record.items() if v is not None}))


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("emodb-cnn", ["--chunk", "4"], "--chunk is for models in step form"),
        ("emodb-cnn", ["--window-s", "2"], "--window-s"),
        ("emodb-gru", ["--chunk", "6"], "4 frames at a time"),
        ("emodb-gru", ["--per-cell", "0"], "--per-cell must be at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(runs, tmp_path, capsys, name, option, words):
    assert main([str(runs / name), "-o", str(tmp_path / "x.tflite"), *option]) == 5
    assert words in capsys.readouterr().err
