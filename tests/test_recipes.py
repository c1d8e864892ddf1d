"""Recipes are strict, complete, and build the networks that they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ser.errors import ConfigError
from train.backend import configure
from train.recipe import load_recipe, recipe_from_dict, recipe_names

configure()

from train.models import Shape, architecture, build_model  # noqa: E402
from train.targets import classes_of, head_widths  # noqa: E402

FIVE_SYSTEMS = ["emodb-rnn", "iemocap-bilstm-attention", "logmel-multitask", "mfcc-cnn-56k"]
SPECTROGRAMS = [f"savee-spectrogram-{kind}" for kind in ("cnn2d", "cnn1d", "rnn")]


def test_the_recipes_of_the_five_systems_are_there() -> None:
    assert set(FIVE_SYSTEMS + SPECTROGRAMS) | {"emodb-cnn", "emodb-gru", "emodb-causal-cnn"} <= set(
        recipe_names()
    )


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_is_a_recipe_again(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe_from_dict(recipe.as_dict(), name) == recipe


def test_the_56k_network_has_exactly_its_published_number_of_parameters() -> None:
    recipe = load_recipe("mfcc-cnn-56k")
    assert len(recipe.data.labels) == 8
    model = build_model(recipe.model, Shape(216, 25, 8))
    assert model.count_params() == 56_040


def test_the_56k_recipe_feeds_it_216_frames_of_25_mfcc() -> None:
    from train.features import Extractor

    extractor = Extractor(load_recipe("mfcc-cnn-56k"), Path(), cache=None)
    assert (extractor.frames, extractor.n_features) == (216, 25)


@pytest.mark.parametrize("name", [each for each in recipe_names() if not each.startswith("baseline-")])
def test_every_network_takes_its_features_and_gives_logits(name: str) -> None:
    import numpy as np

    from train.features import Extractor

    recipe = load_recipe(name)
    extractor = Extractor(recipe, Path(), cache=None)
    heads = head_widths(recipe)
    model = build_model(
        recipe.model, Shape(extractor.frames, extractor.n_features, len(classes_of(recipe)), heads)
    )
    features = np.random.default_rng(0).standard_normal((2, extractor.frames or 61, extractor.n_features))
    outputs = model(features.astype(np.float32))
    emotion = outputs["emotion"] if heads else outputs
    assert tuple(emotion.shape) == (2, len(recipe.data.labels))
    assert {head: outputs[head].shape[1] for head in heads} == heads
    assert architecture(recipe.model.architecture).FORM in ("window", "step")


@pytest.mark.parametrize("name", ["emodb-gru", "emodb-causal-cnn", "iemocap-bilstm-attention"])
def test_padding_behind_an_utterance_changes_nothing(name: str) -> None:
    import numpy as np

    recipe = load_recipe(name)
    model = build_model(recipe.model, Shape(None, 39, 6))
    features = np.random.default_rng(1).standard_normal((1, 48, 39)).astype(np.float32)
    padded = np.concatenate([features, np.zeros((1, 36, 39), np.float32)], axis=1)
    np.testing.assert_allclose(model(padded).numpy(), model(features).numpy(), atol=1e-5)


def test_a_masked_stretch_inside_an_utterance_is_not_padding() -> None:
    import numpy as np

    from train.models.layers import FrameMask

    features = np.ones((1, 8, 3), np.float32)
    features[:, 2:4] = 0.0
    features[:, 6:] = 0.0
    assert FrameMask()(features).numpy().tolist() == [[True] * 6 + [False] * 2]
    assert FrameMask(4)(features).numpy().tolist() == [[True, False]]


def test_attention_can_be_looked_at() -> None:
    import numpy as np

    from train.report.explain import STRETCHES, attention, occlusion

    features = np.random.default_rng(3).standard_normal((60, 39)).astype(np.float32)
    model = build_model(
        load_recipe("iemocap-bilstm-attention", ["model.options.units=4"]).model, Shape(None, 39, 6)
    )
    weights = attention(model, features)
    assert weights is not None and weights.shape == (60,)
    assert weights.sum() == pytest.approx(1.0)
    assert occlusion(model, features, 2).shape == (STRETCHES,)
    assert attention(build_model(load_recipe("emodb-gru").model, Shape(None, 39, 6)), features) is None


def test_the_loudest_frames_come_loudest_first() -> None:
    import numpy as np

    from train.models.layers import LoudestFrames

    features = np.random.default_rng(3).standard_normal((2, 9, 3)).astype(np.float32)
    order = np.argsort(-features[:, :, 0], axis=1)[:, :4]
    expected = np.take_along_axis(features, order[:, :, np.newaxis], axis=1)
    np.testing.assert_array_equal(np.asarray(LoudestFrames(4)(features)), expected)


def test_statistics_without_a_loss_or_enough_frames_are_refused() -> None:
    recipe = load_recipe("multi-cnn", ["model.heads={convolutions=1.0}"])
    with pytest.raises(ConfigError, match=r"loudest_frames needs model\.heads\.statistics"):
        build_model(recipe.model, Shape(188, 64, 4, head_widths(recipe)))
    recipe = load_recipe("multi-cnn")
    with pytest.raises(ConfigError, match="loudest_frames is 64, and a window has 63 frames"):
        build_model(recipe.model, Shape(63, 64, 4, head_widths(recipe)))


def test_a_causal_network_does_not_look_ahead() -> None:
    import keras
    import numpy as np

    model = build_model(load_recipe("emodb-causal-cnn").model, Shape(None, 40, 7))
    steps = keras.Model(model.inputs, model.get_layer("emotion_steps").output)
    features = np.random.default_rng(2).standard_normal((1, 80, 40)).astype(np.float32)
    changed = features.copy()
    changed[:, 40:] += 1.0
    before, after = steps(features).numpy(), steps(changed).numpy()
    np.testing.assert_array_equal(before[:, :10], after[:, :10])
    assert not np.allclose(before[:, 10:], after[:, 10:])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.epoch=3", "unknown key 'epoch'; did you mean 'epochs'"),
        ("fitt.epochs=3", "unknown key 'fitt'; did you mean 'fit'"),
        ("fit.epochs=many", "epochs must be int, not 'many'"),
        ("fit.bucket=1", "bucket must be bool, not 1"),
        ("data.labels=[1]", "labels must be str, not 1"),
        ("fit=3", "fit must be a section"),
        ("optimizer.name=adamm", "none of adam, adamw, sgd, rmsprop; did you mean 'adam'"),
        ("frontend.n_mel=40", "frontend.n_mel is not an option of the front end; did you mean 'n_mels'"),
        ("frontend.window_ms=2000.0", "front-end options"),
        ("model.architecture=light_cn", "no architecture 'light_cn'; did you mean 'light_cnn'"),
        ("model.options.stemm=3", "unknown key 'stemm'; did you mean 'stem'"),
        ("model.heads.gendr=0.2", "no head 'gendr'; did you mean 'gender'"),
        ("augment.timeshift.max_frames=3", "no augmentation 'timeshift'; did you mean 'time_shift'"),
        ("augment.time_mask.max_frame=3", "unknown key 'max_frame'; did you mean 'max_frames'"),
        ("data.merge.calm=peace", "leads to 'peace'"),
        ("input.cut=segment", "needs input.frames"),
        ("fit.epochs", "expected section.key=value"),
        ("name.first=x", "name is a value, not a section"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_nearest(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("emodb-strided", [override])


def test_any_value_can_be_overridden_and_the_last_one_counts() -> None:
    recipe = load_recipe(
        "emodb-cnn",
        ["fit.epochs=3", "fit.epochs=4", "optimizer.learning_rate=1", "evaluation.split=random-kfold",
         "model.options.stem=8", "augment.time_mask.count=2", "evaluation.seeds=[1, 2]"],
    )  # fmt: skip
    assert recipe.fit.epochs == 4
    assert recipe.optimizer.learning_rate == 1.0
    assert recipe.evaluation.split == "random-kfold"
    assert recipe.evaluation.seeds == [1, 2]
    assert recipe.model.options["stem"] == 8
    assert recipe.augment["time_mask"] == {"max_frames": 20, "count": 2}


def test_an_unknown_recipe_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe 'emodb-cn'; did you mean 'emodb-cnn'"):
        load_recipe("emodb-cn")


def test_a_missing_value_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndescription = ""\n[data]\ncorpora = ["a"]\n[frontend]\n[model]\n')
    with pytest.raises(ConfigError, match=r"mine.toml: data: 'labels' is missing"):
        load_recipe(str(path))
    path.write_text("name = \n")
    with pytest.raises(ConfigError, match=r"mine.toml: .*line 1"):
        load_recipe(str(path))
