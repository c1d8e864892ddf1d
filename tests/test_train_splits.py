"""Speakers stand on one side only, and the figures are what they are called."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_ser.errors import ConfigError
from train.metrics import (
    bootstrap_interval,
    confusion,
    difference_interval,
    evaluate,
    expected_calibration_error,
    per_class,
    top_k_accuracy,
    uar,
    wa,
)
from train.recipe import Evaluation
from train.splits import check_leaks, make_folds, protocol
from train.utterance import Utterance


def people(*sizes: int) -> list[Utterance]:
    """Speakers s0, s1 … of one corpus with so many utterances each, of three emotions in turn."""
    found = []
    for speaker, size in enumerate(sizes):
        gender = ("female", "male")[speaker % 2]
        for i in range(size):
            name = f"{speaker}-{i}"
            found.append(
                Utterance(f"{name}.wav", "c", f"s{speaker}", gender, "en", "abc"[i % 3], sha256=name)
            )
    return found


def test_every_speaker_is_left_out_once() -> None:
    utterances = people(3, 4, 5)
    folds = make_folds(utterances, Evaluation("loso"), seed=0)
    assert [fold.name for fold in folds] == ["c/s0", "c/s1", "c/s2"]
    assert [len(fold.test) for fold in folds] == [3, 4, 5]
    for fold in folds:
        assert sorted(fold.train + fold.test) == list(range(12))
        assert {utterances[i].speaker for i in fold.test} & {
            utterances[i].speaker for i in fold.train
        } == set()


def test_folds_of_speakers_are_of_like_size_and_depend_on_the_seed() -> None:
    utterances = people(30, 9, 8, 7, 6, 5, 5, 5, 5)
    folds = make_folds(utterances, Evaluation("group-kfold", folds=3), seed=0)
    assert sorted(len(fold.test) for fold in folds) == [25, 25, 30]
    assert sorted(i for fold in folds for i in fold.test) == list(range(80))
    assert folds == make_folds(utterances, Evaluation("group-kfold", folds=3), seed=0)
    assert folds != make_folds(utterances, Evaluation("group-kfold", folds=3), seed=1)


def test_every_corpus_is_left_out_once_and_one_alone_is_refused() -> None:
    utterances = [replace(each, corpus=f"c{i % 3}", speaker=f"s{i % 3}") for i, each in enumerate(people(9))]
    evaluation = Evaluation("leave-one-corpus-out")
    folds = make_folds(utterances, evaluation, seed=0)
    assert [fold.name for fold in folds] == ["c0", "c1", "c2"]
    for number, fold in enumerate(folds):
        assert {utterances[i].corpus for i in fold.test} == {f"c{number}"}
        assert sorted(fold.train + fold.test) == list(range(9)) and len(fold.test) == 3
    assert protocol(evaluation) == "leave one corpus out (unseen corpora)"
    with pytest.raises(ConfigError, match="leave-one-corpus-out needs two corpora"):
        make_folds(people(3, 3), evaluation, seed=0)


def test_random_folds_keep_the_classes_and_say_what_they_are() -> None:
    utterances = people(30, 30)
    evaluation = Evaluation("random-kfold", folds=5)
    folds = make_folds(utterances, evaluation, seed=0)
    for fold in folds:
        emotions = [utterances[i].emotion for i in fold.test]
        assert [emotions.count(each) for each in "abc"] == [4, 4, 4]
    assert "speaker-dependent" in protocol(evaluation)
    assert "speaker-independent" in protocol(Evaluation("loso"))


def test_random_folds_never_part_identical_recordings() -> None:
    utterances = [replace(each, sha256=str(i // 2)) for i, each in enumerate(people(24))]
    for fold in make_folds(utterances, Evaluation("random-kfold", folds=4), seed=3):
        check_leaks([utterances[i] for i in fold.train], [utterances[i] for i in fold.test], speakers=False)


def test_more_folds_than_speakers_are_refused() -> None:
    with pytest.raises(ConfigError, match="5 folds of speakers need as many speakers; there are 3"):
        make_folds(people(3, 3, 3), Evaluation("group-kfold", folds=5), seed=0)
    with pytest.raises(ConfigError, match="there are 1"):
        make_folds(people(3), Evaluation("loso"), seed=0)


def test_a_speaker_on_both_sides_is_a_leak() -> None:
    utterances = people(2, 2)
    with pytest.raises(ConfigError, match="leak: speaker c/s1 is in the training and in the test data"):
        check_leaks(utterances[:3], utterances[3:])


def test_the_same_speaker_name_in_another_corpus_is_another_speaker() -> None:
    first, second = people(1, 1)
    check_leaks([first], [replace(second, corpus="d", speaker=first.speaker)])


def test_a_recording_on_both_sides_is_a_leak_under_whatever_name() -> None:
    first, second = people(1, 1)
    with pytest.raises(ConfigError, match=r"leak: 1-0.wav of the test data is byte-identical to 0-0.wav"):
        check_leaks([first], [replace(second, sha256=first.sha256)])
    with pytest.raises(ConfigError, match=r"leak: 0-0.wav is in the training and in the test data"):
        check_leaks([replace(first, sha256="")], [replace(first, speaker="x", sha256="")])


# Ten utterances of class 0, of which eight are found; two of class 1, of which one is; none of class 2.
TRUE = np.array([0] * 10 + [1] * 2)
PREDICTED = np.array([0] * 8 + [1] + [2] + [1, 0])


def test_the_figures_of_a_known_confusion() -> None:
    counts = confusion(TRUE, PREDICTED, 3)
    assert counts.tolist() == [[8, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert uar(counts) == pytest.approx((0.8 + 0.5) / 2)
    assert wa(counts) == pytest.approx(9 / 12)
    classes = per_class(counts, ["a", "b", "c"])
    assert classes["a"] == pytest.approx({"precision": 8 / 9, "recall": 0.8, "f1": 16 / 19, "utterances": 10})
    assert classes["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "utterances": 0}
    assert math.isnan(uar(np.zeros((3, 3))))


def test_figures_agree_with_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    counts = confusion(true, predicted, 4)
    assert uar(counts) == pytest.approx(balanced_accuracy_score(true, predicted))
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted)
    ours = per_class(counts, ["a", "b", "c", "d"]).values()
    assert [each["precision"] for each in ours] == pytest.approx(precision.tolist())
    assert [each["recall"] for each in ours] == pytest.approx(recall.tolist())
    assert [each["f1"] for each in ours] == pytest.approx(f1.tolist())


def test_top_k_and_calibration_of_known_scores() -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.5, 0.4, 0.1], [0.9, 0.05, 0.05]])
    true = np.array([0, 0, 1, 0])
    assert top_k_accuracy(true, scores, 1) == 0.5
    assert top_k_accuracy(true, scores, 2) == 0.75
    # Bins of 1/2: all four are in the upper one, mean confidence 0.625, half are right.
    assert expected_calibration_error(true, scores, n_bins=2) == pytest.approx(0.125)


def test_the_interval_is_over_speakers_and_not_over_utterances() -> None:
    """One speaker is always right, one always wrong: whatever their utterances, it is from 0 to 1."""
    true = np.zeros(2000, dtype=np.int64)
    predicted = np.repeat([0, 1], 1000)
    groups = ["right"] * 1000 + ["wrong"] * 1000
    assert bootstrap_interval(true, predicted, groups, 2, wa) == [0.0, 1.0]
    assert bootstrap_interval(true, true, groups, 2, wa) == [1.0, 1.0]


def test_a_difference_is_taken_within_the_same_speakers() -> None:
    """Each alone is from 0 to 1; of whomever is drawn, the second is right about a tenth less."""
    true = np.zeros(2000, dtype=np.int64)
    one = np.repeat([0, 1], 1000)
    groups = ["right"] * 1000 + ["wrong"] * 1000
    assert difference_interval(true, one, one, groups, 2, wa) == [0.0, 0.0]
    other = one.copy()
    other[:100] = 1
    low, high = difference_interval(true, one, other, groups, 2, wa)
    assert (low, high) == pytest.approx((0.0, 0.1))


def test_a_report_names_parts_by_gender_corpus_and_speaker() -> None:
    utterances = people(4, 2)
    true = np.array(["abc".index(each.emotion) for each in utterances])
    scores = np.eye(3)[true]
    scores[4] = [0.0, 0.0, 1.0]  # the first utterance of s1, in truth "a"
    figures = evaluate(utterances, true, scores, ["a", "b", "c"])
    assert figures["wa"] == pytest.approx(5 / 6)
    assert figures["per_gender"]["female"] == {"uar": 1.0, "wa": 1.0, "utterances": 4}
    assert figures["per_gender"]["male"] == {"uar": 0.5, "wa": 0.5, "utterances": 2}
    assert figures["per_corpus"]["c"]["utterances"] == 6
    assert figures["per_speaker"]["c/s1"]["wa"] == 0.5
    assert figures["speakers"] == 2
    low, high = figures["uar_interval"]
    assert low <= figures["uar"] <= high
