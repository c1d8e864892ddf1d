"""A committee's answer is the mean of its members', each of which learns the emotion by itself."""

import numpy as np
import pytest

from edge_ser.errors import ConfigError

pytest.importorskip("keras")

from train.models import Shape, build_model
from train.recipe import load_recipe
from train.targets import Targets, head_widths
from train.utterance import Utterance


def test_the_emotion_is_the_mean_of_the_members() -> None:
    recipe = load_recipe("emodb-committee")
    model = build_model(recipe.model, Shape(188, 64, 7, head_widths(recipe)))
    outputs = model.predict_on_batch(
        np.random.default_rng(0).standard_normal((3, 188, 64)).astype(np.float32)
    )
    assert list(outputs) == ["emotion", "member_1", "member_2"]
    mean = (outputs["member_1"] + outputs["member_2"]) / 2
    np.testing.assert_allclose(outputs["emotion"], mean, atol=1e-5)
    assert np.abs(outputs["member_1"] - outputs["member_2"]).max() > 1e-3


def test_the_first_member_sees_only_the_lower_cepstra() -> None:
    recipe = load_recipe("emodb-committee")
    model = build_model(recipe.model, Shape(188, 64, 7, head_widths(recipe)))
    features = np.random.default_rng(1).standard_normal((2, 188, 64)).astype(np.float32)
    changed = features.copy()
    changed[:, :, 40:] = 0.0
    before, after = model.predict_on_batch(features), model.predict_on_batch(changed)
    np.testing.assert_array_equal(before["member_1"], after["member_1"])
    assert np.abs(before["member_2"] - after["member_2"]).max() > 1e-4


def test_members_are_asked_for_what_the_emotion_is_asked_for() -> None:
    recipe = load_recipe("emodb-committee")
    names = ["anger", "sadness", "neutral", "anger"]
    said = [Utterance(f"{n}.wav", "emodb", str(n), "", "de", name) for n, name in enumerate(names)]
    targets, weights = Targets(recipe, said).of(range(4))
    for member in ("member_1", "member_2"):
        np.testing.assert_array_equal(targets[member], targets["emotion"])
        np.testing.assert_array_equal(weights[member], weights["emotion"])


def test_a_head_that_no_committee_has_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="member_9"):
        load_recipe("emodb-committee", ["model.heads.member_9=1.0"])
