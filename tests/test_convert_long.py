"""Every recipe goes through the converter on real speech (make test-long): trained briefly, converted,
heard.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_ser.classifier import Classifier
from edge_ser.model import Model
from train.backend import configure

configure()

from benchmarks.int8_recipes import HEADER, row  # noqa: E402
from convert.card import tuning_text  # noqa: E402
from convert.parity import failures  # noqa: E402
from convert.pipeline import Settings, convert, model_bytes  # noqa: E402
from convert.run import read_run  # noqa: E402
from convert.runtimes import tflite_python  # noqa: E402
from convert.tables import table  # noqa: E402
from train.recipe import load_recipe  # noqa: E402
from train.selection import select  # noqa: E402
from train.task import Task, run_task  # noqa: E402

pytestmark = pytest.mark.long

SEVEN = "data.labels=['anger', 'boredom', 'disgust', 'fear', 'happiness', 'neutral', 'sadness']"
ON_EMODB = ["data.corpora=['emodb']", SEVEN, "data.merge={}", "model.heads={}"]
# Recipe -> overrides: the recipes of corpora that may not be at hand learn EmoDB here, and those that take
# long a few epochs: what is tested is the arithmetic. What has learnt little answers from differences that no
# arithmetic keeps: savee-spectrogram-cnn1d held back a label too many after 8 epochs, and emodb-strided,
# emodb-conv-gru and mfcc-cnn-56k knew nothing yet. These and the recurrent ones learn to the end.
BRIEF = ["fit.epochs=8"]
RECIPES = {
    "emodb-cnn": BRIEF,
    "emodb-gru": BRIEF,
    "emodb-causal-cnn": BRIEF,
    "emodb-conv-gru": [],  # separable blocks learn little in forty epochs, or undisturbed
    "multi-gru": [*ON_EMODB[:1], "teacher.seeds=[31]", "fit.epochs=80"],
    "emodb-strided": [],
    "multi-cnn": [*ON_EMODB[:3], *BRIEF],
    "emodb-rnn": [],
    "emodb-rnn gru 2": ["model.options={cell = 'gru', units = 64, layers = 2, dense = 256, dropout = 0.5}"],
    "iemocap-bilstm-attention": [
        *ON_EMODB,
        "model.options={units = 32, layers = 2, dropout = 0.2}",
        # As the device hears it: a fixed window, silence behind short recordings.
        "input={cut = 'window', length_s = 3.0, hop_s = 1.5}",
        "frontend.hop_ms=20.0",
        "optimizer.learning_rate=1e-3",
        "fit.epochs=12",
    ],
    "savee-spectrogram-cnn1d": ON_EMODB[:2],
    "savee-spectrogram-cnn2d": [*ON_EMODB[:2], *BRIEF],
    "savee-spectrogram-rnn": ON_EMODB[:2],
    "logmel-multitask": [*ON_EMODB[:3], "augment={}", *BRIEF],
    "mfcc-cnn-56k": ON_EMODB[:3],
    "baseline-segment-dnn": ON_EMODB[:2],
}
# Of two speakers (107 utterances) a label of a small class was 1.4 points of UAR: more than the gate allows.
SPEAKERS = {"03", "08", "11", "16"}


@pytest.fixture(scope="module")
def corpora():
    root = os.environ.get("EDGE_SER_CORPORA")
    if not root or not (Path(root) / "emodb").is_dir():
        pytest.skip("EDGE_SER_CORPORA does not lead to emodb")
    return Path(root)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_becomes_a_model_that_passes_the_gate(name, corpora, tmp_path, capsys):
    common = ["fit.batch_size=32", "fit.test_time_shifts=0"]
    recipe = load_recipe(name.split()[0], [*common, *RECIPES[name]])
    utterances = select(recipe.data, corpora).utterances
    train = [each for each in utterances if each.speaker not in SPEAKERS]
    held_out = [each for each in utterances if each.speaker in SPEAKERS]
    run_task(Task(recipe.as_dict(), tuple(train), tuple(held_out), str(corpora), str(tmp_path / "run"), 0))
    run = read_run(tmp_path / "run")
    conversion = convert(run, Settings(root=corpora, tflite_python=tflite_python(make=True)))
    compiled, parity = conversion.compiled, conversion.parity
    with capsys.disabled():
        print(f"\n{table(HEADER, [row(name, conversion)])}\n{tuning_text(parity['fine_tuning'])}")
    assert failures(parity) == []
    assert len(compiled.flatbuffer) <= 1.3 * compiled.weight_bytes + 8192
    path = tmp_path / "model.tflite"
    path.write_bytes(model_bytes(conversion, "long")[0])
    model = Model.load(path)
    assert model.self_test().passed
    classifier = Classifier(model=model)
    heard = [classifier.classify(str(corpora / each.path)) for each in held_out[:20]]
    assert all(sum(each.scores.values()) == pytest.approx(1.0, abs=1e-4) for each in heard)
