"""A large speech encoder's opinion of the recordings, learnt along with their labels (Hinton et al. 2015).

The encoder is Whisper tiny's (Radford et al. 2022), tuned by Daily to hear whether somebody has finished
speaking (Smart Turn 3.2, BSD 2-Clause), in ONNX as the package pipecat-ai carries it; no emotions were told
to it. A linear SVM on statistics of its layers learns them from a fit's own recordings, and what it says of
these and of further recordings of the same speakers is what a compact network is asked to say too. Nothing
of either goes into a model file. docs/training.md says how to install the encoder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import ConfigError
from edge_ser.frontend import Frontend, FrontendOptions
from train.arrays import Samples
from train.audio import read_audio
from train.predict import softmax
from train.recipe import Recipe
from train.selection import select
from train.targets import Opinions
from train.utterance import Utterance

PACKAGE = "pipecat-ai"
FILE = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
INSTALL = "pip install 'edge-ser[encoder]' && pip install --no-deps pipecat-ai==1.14.0"

# Whisper's features by the product's front end: the same 80 bands and centred windows of 25 ms, but from a
# transform of 512 points instead of 400, which makes powers 512 / 400 times as large.
OPTIONS = FrontendOptions(
    preset="librosa",
    feature="log_mel",
    n_mels=80,
    framing="center",
    window="hann_periodic",
    log="natural",
    log_floor=1e-10,
)
LENGTH_S = 8.0  # what the encoder hears; of longer recordings the end
FRAMES = 800
STEP = 320  # samples a position of the encoder
LAYERS = slice(2, 9)  # of its layer normalisations: before the second block's attention to the last
SCALES = np.geomspace(0.5, 20.0, 24)


def opinions(recipe: Recipe, train: Sequence[Utterance], root: Path) -> Opinions:
    """What the SVM that learns from ``train`` says of these recordings and, with ``encoder.further``, of the
    same speakers' recordings with other labels.

    Each corpus counts alike and is standardised by itself, since a room and a microphone are no emotion.
    Margins become probabilities by the one factor that fits best what SVMs say of corpora (with one corpus:
    of speakers) that they did not learn from.
    """
    others = further(recipe, train, root) if recipe.encoder.further else []
    everything = [*train, *others]
    values = statistics(everything, root)
    corpora = np.array([each.corpus for each in everything])
    for name in sorted(set(corpora)):
        of_corpus = corpora == name
        part = values[of_corpus]
        values[of_corpus] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-6)
    truth = np.array([recipe.data.labels.index(each.emotion) for each in train])
    learnt, groups = values[: len(train)], corpora[: len(train)]
    if len(set(groups)) == 1:
        groups = np.array([each.speaker for each in train])
    if len(set(groups)) == 1:
        raise ConfigError(f"{recipe.name}: [encoder] needs recordings of two speakers at least")
    n_labels, c = len(recipe.data.labels), recipe.encoder.c
    unseen = np.zeros((len(train), n_labels))
    for name in sorted(set(groups)):
        left_out = groups == name
        rows = np.flatnonzero(~left_out)
        unseen[left_out] = svm_margins(
            learnt[rows], truth[rows], corpora[rows], n_labels, c, learnt[left_out]
        )
    margins = svm_margins(learnt, truth, corpora[: len(train)], n_labels, c, values)
    return Opinions(softmax(best_scale(unseen, truth) * margins), others)


def best_scale(margins: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The factor of :data:`SCALES` by which ``softmax(factor * margins)`` [n, labels] fits ``truth`` [n]
    best.
    """
    right = [softmax(scale * margins)[np.arange(len(truth)), truth] for scale in SCALES]
    losses = [-np.log(np.maximum(each, 1e-12)).mean() for each in right]
    return float(SCALES[int(np.argmin(losses))])


def svm_margins(
    learnt: NDArray[np.float32],
    truth: NDArray[np.int64],
    corpora: NDArray[np.str_],
    n_labels: int,
    c: float,
    asked: NDArray[np.float32],
) -> NDArray[np.float64]:
    """What a linear SVM that learns ``learnt`` [n, features] says of ``asked`` [m, features]: [m, labels].

    A label that it never met gets what the least likely one gets.
    """
    from sklearn.svm import LinearSVC

    if len(set(truth.tolist())) < 2:
        raise ConfigError("[encoder] needs two labels at least, whichever speaker or corpus is left out")
    count = Counter(corpora.tolist())
    weights = np.array([1000.0 / count[name] for name in corpora.tolist()])
    svm = LinearSVC(C=c, class_weight="balanced", random_state=0)
    svm.fit(learnt, truth, sample_weight=weights)
    margins = svm.decision_function(asked)
    if margins.ndim == 1:  # two labels: one margin, of the second
        margins = np.stack([-margins, margins], axis=1)
    every = np.repeat(margins.min(axis=1, keepdims=True), n_labels, axis=1)
    every[:, svm.classes_] = margins
    return every


def further(recipe: Recipe, train: Sequence[Utterance], root: Path) -> list[Utterance]:
    """The recordings of the speakers of ``train`` that have none of the recipe's labels."""
    from train.corpora import read_corpus

    corpora = sorted({each.corpus for each in train})
    merged = recipe.data.merge
    found = {each.emotion for name in corpora for each in read_corpus(name, root).utterances}
    others = sorted(found - set(recipe.data.labels) - set(merged))
    if not others:
        return []
    data = replace(recipe.data, corpora=corpora, labels=others, merge={})
    speakers = {each.speaker_id for each in train}
    return [each for each in select(data, root, every_label=False).utterances if each.speaker_id in speakers]


def statistics(utterances: Sequence[Utterance], root: Path) -> NDArray[np.float32]:
    """Mean and standard deviation over time of every channel of seven layers: [recordings, 5376]."""
    return np.stack([_of_recording(root / each.path) for each in utterances])


def _of_recording(path: Path) -> NDArray[np.float32]:
    """:func:`heard` of a recording, from the cache when its bytes, the encoder and the front end are the
    same.
    """
    from train.features import CACHE, frontend_digest, store

    about = f"{SHA256} {sorted(OPTIONS.as_dict().items())} {frontend_digest()} statistics"
    key = hashlib.sha256(path.read_bytes() + about.encode()).hexdigest()
    entry = CACHE / key[:2] / f"{key}.npy"
    if not entry.is_file():
        store(entry, heard(read_audio(path, OPTIONS.rate_hz)))
    return np.asarray(np.load(entry, allow_pickle=False), dtype=np.float32)


def heard(samples: Samples) -> NDArray[np.float32]:
    """The statistics [5376] of the last eight seconds of ``samples`` at 16 kHz."""
    samples = samples[-round(LENGTH_S * OPTIONS.rate_hz) :]
    session, layers = _encoder()
    outputs = session.run(layers, {"input_features": features(samples)[None]})
    positions = min(max(4, -(-len(samples) // STEP)), FRAMES // 2)
    parts = [each[0, -positions:] for each in outputs]
    return np.concatenate([f(each, axis=0) for each in parts for f in (np.mean, np.std)]).astype(np.float32)


def features(samples: Samples) -> NDArray[np.float32]:
    """Whisper's log-mel features [80, 800] of at most eight seconds at 16 kHz, silence before them."""
    energy = float(np.square(samples, dtype=np.float64).sum()) / (LENGTH_S * OPTIONS.rate_hz)
    mean = float(samples.sum(dtype=np.float64)) / (LENGTH_S * OPTIONS.rate_hz)
    aligned = np.pad(samples, (-len(samples) % OPTIONS.hop_length, 0))
    natural = np.asarray(Frontend(OPTIONS).process(aligned), dtype=np.float64)
    log_mel = natural[:-1] / np.log(10.0)  # Whisper leaves the last frame out, too
    log_mel += np.log10(400.0 / 512.0) - np.log10(energy - mean**2 + 1e-7)
    log_mel = (np.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0
    padded = np.full((FRAMES, log_mel.shape[1]), log_mel.min())
    padded[FRAMES - len(log_mel) :] = log_mel
    return np.ascontiguousarray(padded.T, dtype=np.float32)


@functools.cache
def _encoder() -> tuple[Any, list[str]]:
    """An ONNX session of one thread and the names of the layers to ask it for. ConfigError where it is not
    installed.
    """
    try:
        import onnx
        import onnxruntime

        path = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(FILE)))
        data = path.read_bytes()
    except (ImportError, OSError):  # PackageNotFoundError is an ImportError
        raise ConfigError(f"this recipe's [encoder] is not installed: {INSTALL}") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ConfigError(f"{path} is another encoder than that of {PACKAGE} 1.14.0: {INSTALL}")
    model = onnx.load_from_string(data)
    layers = [each.output[0] for each in model.graph.node if each.op_type == "LayerNormalization"][LAYERS]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, None) for each in layers
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options), layers
