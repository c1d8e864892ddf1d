"""A teacher hears what its pupil hears, knows nobody whom its pupil does not know, and moves the targets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spoken_corpus import speak_emodb

from edge_ser.errors import ConfigError
from train.backend import configure
from train.features import Extractor
from train.recipe import Evaluation, Recipe, deciding, load_recipe, recipe_from_dict
from train.selection import select
from train.task import Task, run_task

configure()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

from train.cv import cross_validate  # noqa: E402
from train.dataset import TrainingSet, measure  # noqa: E402
from train.fit import fit  # noqa: E402
from train.models import load_model  # noqa: E402
from train.predict import softmax  # noqa: E402
from train.teacher import Teacher, teacher_tasks  # noqa: E402

TEACHER = """
name = "tiny-cnn"
description = "A teacher that learns in seconds."
[data]
corpora = ["emodb"]
labels = ["anger", "neutral", "sadness"]
[frontend]
preset = "librosa"
log = "natural"
feature = "mfcc"
n_mels = 24
n_mfcc = 12
window_ms = 64.0
hop_ms = 16.0
n_fft = 1024
[input]
cut = "window"
length_s = 1.0
hop_s = 0.5
[model]
architecture = "light_cnn"
[model.options]
stem = 2
widths = [4, 6]
pools = [[2, 2], [2, 2]]
head = 8
[fit]
epochs = 4
"""
PUPIL = TEACHER.replace("tiny-cnn", "tiny-gru").replace('"light_cnn"', '"gru"').replace('"window"', '"whole"')
PUPIL = (
    PUPIL[: PUPIL.index("[model.options]")] + '[fit]\nepochs = 1\n[teacher]\nrecipe = "{}"\nseeds = [5, 6]\n'
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak_emodb(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.features.CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def pupil_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "tiny-cnn.toml").write_text(TEACHER)
    (folder / "tiny-gru.toml").write_text(PUPIL.format(folder / "tiny-cnn.toml"))
    return folder / "tiny-gru.toml"


@pytest.fixture(scope="module")
def pupil(pupil_file: Path) -> Recipe:
    return load_recipe(str(pupil_file))


def task_of(recipe: Recipe, corpus: Path, folder: Path, seed: int = 0) -> Task:
    utterances = select(recipe.data, corpus).utterances
    train = tuple(each for each in utterances if each.speaker != "08")
    held_out = tuple(each for each in utterances if each.speaker == "08")
    return Task(recipe.as_dict(), train, held_out, str(corpus), str(folder), seed)


@pytest.fixture(scope="module")
def task(corpus: Path, pupil: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A fit whose two teachers are trained."""
    made = task_of(pupil, corpus, tmp_path_factory.mktemp("runs") / "pupil")
    run_task(made)
    return made


def test_teachers_know_only_whom_the_pupil_learns_from(task: Task, pupil: Recipe) -> None:
    run = json.loads((Path(task.folder) / "run.json").read_text())
    tasks = teacher_tasks(task, pupil)
    assert run["teachers"] == [Path(each.folder).name for each in tasks]
    for each, seed in zip(tasks, (5, 6), strict=True):
        taught = json.loads((Path(each.folder) / "run.json").read_text())
        assert (taught["recipe_name"], taught["seed"]) == ("tiny-cnn", seed)
        assert taught["train_digest"] == taught["manifest_digest"] == run["train_digest"]


def test_all_seeds_of_a_fold_share_teachers_and_another_fold_has_others(task: Task, pupil: Recipe) -> None:
    def folders(one: Task) -> list[str]:
        return [each.folder for each in teacher_tasks(one, pupil)]

    other_seed = replace(task, seed=1, folder=str(Path(task.folder).with_name("other")))
    other_fold = replace(task, train=task.train[1:])
    assert folders(other_seed) == folders(task)
    assert not set(folders(other_fold)) & set(folders(task))


def test_a_short_utterance_is_asked_as_the_window_that_the_device_would_make_of_it(
    task: Task, pupil: Recipe, corpus: Path
) -> None:
    extractor = Extractor(pupil, corpus)
    normalise = measure(extractor, task.train)
    runs = [Path(each.folder) for each in teacher_tasks(task, pupil)]
    teacher = Teacher(runs, extractor, normalise)
    samples = extractor.samples(task.train[0])[:12000]
    features = normalise(extractor.compute(samples))
    padded = np.zeros((1, len(features) + 20, 12), np.float32)
    padded[0, : len(features)] = features
    of_teacher = Extractor(load_recipe(pupil.teacher.recipe), corpus)
    window = (of_teacher.windows(samples) - teacher.normalise.mean) / teacher.normalise.std
    assert len(window) == 1
    heard = len(features) - 4  # the last frames reach beyond the audio, and differ by what is behind it
    asked = teacher._window(padded[0], np.random.default_rng(0))
    np.testing.assert_allclose(asked[:heard], window[0][:heard], atol=1e-4)
    silence = (of_teacher.silence() - teacher.normalise.mean) / teacher.normalise.std
    np.testing.assert_allclose(asked[len(features) :], np.tile(silence, (63 - len(features), 1)), atol=1e-4)
    said = [softmax(np.asarray(load_model(run / "model.keras")(asked[None]))) for run in runs]
    np.testing.assert_allclose(teacher.answers(padded, np.random.default_rng(0)), np.mean(said, 0), atol=1e-5)


def test_of_a_long_utterance_a_window_at_a_random_place_is_heard(
    task: Task, pupil: Recipe, corpus: Path
) -> None:
    extractor = Extractor(pupil, corpus)
    normalise = measure(extractor, task.train)
    teacher = Teacher([Path(each.folder) for each in teacher_tasks(task, pupil)], extractor, normalise)
    frames = np.arange(1, 101, dtype=np.float32)[:, None] * np.ones(12, np.float32)
    starts = set()
    for seed in range(12):
        window = teacher._window(frames, np.random.default_rng(seed))
        raw = window * teacher.normalise.std + teacher.normalise.mean
        numbers = (raw - normalise.mean) / normalise.std
        np.testing.assert_allclose(np.diff(numbers, axis=0), 1.0, atol=1e-2)
        starts.add(round(float(numbers[0, 0])))
    assert len(starts) > 6 and min(starts) >= 1 and max(starts) <= 100 - 63 + 1


def test_the_answers_take_their_share_of_the_targets(task: Task, pupil: Recipe, corpus: Path) -> None:
    recipe = replace(pupil, teacher=replace(pupil.teacher, weight=0.25))
    extractor = Extractor(recipe, corpus)
    data = TrainingSet(recipe, extractor, task.train, 0)
    plain = next(data.batches(0))
    said = np.full((len(plain.inputs), 3), [0.5, 0.3, 0.2], np.float32)
    data.teacher = lambda inputs, rng: said
    taught = next(data.batches(0))
    np.testing.assert_array_equal(taught.inputs, plain.inputs)
    expected = 0.75 * plain.targets["emotion"] + 0.25 * said
    np.testing.assert_allclose(taught.targets["emotion"], expected, atol=1e-6)
    np.testing.assert_array_equal(next(data.batches(0)).targets["emotion"], taught.targets["emotion"])


def test_a_pupil_learns_other_weights_than_without_its_teacher(
    task: Task, pupil: Recipe, corpus: Path, tmp_path: Path
) -> None:
    alone = task_of(replace(pupil, teacher=type(pupil.teacher)()), corpus, tmp_path / "alone")
    run_task(alone)
    assert "teachers" not in json.loads((tmp_path / "alone" / "run.json").read_text())
    both = [load_model(Path(each.folder) / "model.keras").get_weights() for each in (task, alone)]
    assert any(not np.allclose(one, other) for one, other in zip(*both, strict=True))


def test_a_fit_without_the_teachers_that_its_recipe_names_is_refused(
    task: Task, pupil: Recipe, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="fit needs the runs of its teachers"):
        fit(pupil, task.train, task.held_out, corpus, tmp_path / "run", quiet=True)


def test_cross_validation_trains_teachers_once_a_fold_and_forgets_a_fit_of_others(
    pupil: Recipe, corpus: Path, tmp_path: Path
) -> None:
    recipe = replace(pupil, evaluation=Evaluation("loso", seeds=[1, 2]))
    utterances = [each for each in select(recipe.data, corpus).utterances if each.speaker in ("03", "08")]
    told: list[str] = []
    cross_validate(recipe, utterances, corpus, tmp_path / "cv", tell=told.append)
    teachers = sorted(path.name for path in (tmp_path / "cv" / "teachers").iterdir())
    assert len(teachers) == 4 and sum(line.startswith("teacher ") for line in told) == 4
    first = json.loads((tmp_path / "cv" / "fold-01-seed-1" / "run.json").read_text())
    again = replace(recipe, teacher=replace(recipe.teacher, seeds=[5]))
    cross_validate(again, utterances, corpus, tmp_path / "cv", tell=told.append)
    second = json.loads((tmp_path / "cv" / "fold-01-seed-1" / "run.json").read_text())
    assert first["teachers"][:1] == second["teachers"] and len(first["teachers"]) == 2


def test_a_run_of_before_there_were_teachers_is_that_of_the_same_recipe_without_one(pupil: Recipe) -> None:
    recipe = load_recipe("emodb-cnn").as_dict()
    before = {name: part for name, part in recipe.items() if name != "teacher"}
    assert deciding(before) == deciding(recipe)
    assert deciding(pupil.as_dict())["teacher"]["seeds"] == [5, 6]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("frontend.n_mels=32", "has another front end: n_mels is 24 there and 32 here"),
        ("data.labels=['anger', 'neutral']", "needs the same labels"),
        ("teacher.seeds=[]", "teacher.seeds is empty"),
        ("teacher.weight=1.5", "teacher.weight = 1.5 is not between 0 and 1"),
        ("teacher.recipe=emodb-cnm", "no recipe 'emodb-cnm'; did you mean 'emodb-cnn'"),
        ("teacher.recipe=emodb-gru", "a teacher hears windows"),
    ],
)
def test_what_cannot_teach_is_refused(
    pupil_file: Path, corpus: Path, tmp_path: Path, override: str, words: str
) -> None:
    labels = load_recipe("emodb-gru").data.labels
    also = [f"data.labels={labels}"] if "emodb-gru" in override else []
    with pytest.raises(ConfigError) as error:
        recipe = load_recipe(str(pupil_file), [override, *also])
        run_task(Task(recipe.as_dict(), (), (), str(corpus), str(tmp_path / "run"), 0))
    assert words in str(error.value)


def test_a_teacher_has_no_teacher_and_a_baseline_none(pupil_file: Path, corpus: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(pupil_file), [f"teacher.recipe={pupil_file}", "input.cut=window"])
    with pytest.raises(ConfigError, match="has a teacher itself"):
        teacher_tasks(Task(recipe.as_dict(), (), (), str(corpus), str(tmp_path / "run"), 0), recipe)
    tree = load_recipe("baseline-egemaps").as_dict() | {"teacher": {"recipe": "emodb-cnn", "seeds": [1]}}
    with pytest.raises(ConfigError, match="is no network and cannot have a teacher"):
        recipe_from_dict(tree, "baseline")


@pytest.mark.parametrize("lead_s", [0.0, 0.3])
def test_a_teacher_hears_recordings_from_where_its_pupil_does(pupil: Recipe, lead_s: float) -> None:
    pupil = replace(pupil, input=replace(pupil.input, lead_s=lead_s))
    tasks = teacher_tasks(Task(pupil.as_dict(), (), (), "", "cv/run", 1), pupil)
    assert [task.recipe["input"]["lead_s"] for task in tasks] == [lead_s, lead_s]
