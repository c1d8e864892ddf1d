"""Recipes: everything that decides what a trained model is, in one strict TOML file.

A recipe is read into frozen dataclasses, one per section below, whose fields are the keys that exist. A key
that does not exist, a value of the wrong type and a missing value are each a ConfigError that names the
place. Sections
``model`` and ``augment`` are checked against the architecture's and the augmentation's own options.
"""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from edge_ser.errors import ConfigError
from train.naming import nearest

RECIPES = Path(__file__).parent / "recipes"
T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """Which utterances are learnt from."""

    corpora: list[str]
    labels: list[str]
    merge: dict[str, str] = field(
        default_factory=dict
    )  # corpus label -> label of this recipe, before selection
    only: dict[str, list[str]] = field(default_factory=dict)  # field of Utterance -> values that are kept
    duplicates: Literal["drop", "keep", "refuse"] = "drop"
    unreadable: Literal["skip", "refuse"] = "refuse"
    stand_in_for: str = ""  # the corpus of the published system that this run has to do without


@dataclass(frozen=True)
class Input:
    """How an utterance becomes the network's input.

    ``window``: ``length_s`` of audio, shorter audio zero-padded at its end, longer audio cut every ``hop_s``.
    ``segment``: the utterance's features cut into ``frames`` frames every ``hop_frames``.
    ``whole``: all frames of the utterance; batches are padded with zeros that the model masks.
    Scores of the windows or segments of one utterance are averaged as probabilities.
    ``warps``: each window is also heard with its frequency axis stretched by exp of these (edge_ser/warp.py),
    and the logits are averaged. For cut = "window" and librosa's MFCC alone; training does not see them.
    ``lead_s``: what comes earlier than that before the first sound is left out (edge_ser/onset.py); 0: all is
    heard.
    """

    cut: Literal["window", "segment", "whole"] = "window"
    length_s: float = 3.0
    hop_s: float = 1.0
    frames: int = 0
    hop_frames: int = 0
    max_frames: int = 0  # for "whole": longer utterances are cut here; 0 = never
    silence: Literal["keep", "remove", "class"] = "keep"
    warps: list[float] = field(default_factory=list)
    lead_s: float = 0.0


@dataclass(frozen=True)
class Model:
    """The architecture by name (train/models) and its options."""

    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, float] = field(default_factory=dict)  # further head -> weight of its loss


@dataclass(frozen=True)
class Optimizer:
    """How weights move. ``cosine`` falls from learning_rate to 0 over all steps."""

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: int = 0
    clip_norm: float = 0.0  # 0 = off
    ema_momentum: float = 0.0  # of the averaged weights that are saved; 0 = off


@dataclass(frozen=True)
class Fit:
    """How long, in which batches, and how classes are weighed. The last epoch is the result; nothing chooses
    it.
    """

    epochs: int = 40
    batch_size: int = 16
    label_smoothing: float = 0.0
    class_weights: Literal["none", "inverse_sqrt", "inverse"] = "none"
    corpus_weights: Literal["none", "equal"] = "none"
    mixup: float = 0.0  # alpha of the beta distribution; 0 = off
    bucket: bool = False  # batches of utterances of like length
    renderings: int = 0  # fixed ones of each recording by the waveform augmentations; 0: anew every epoch
    test_time_shifts: int = 0  # further copies of each test window, shifted in time, averaged with it


@dataclass(frozen=True)
class Teacher:
    """Networks of another recipe that learn from the same utterances first; ``weight`` is the share of their
    answers, averaged, in what is then learnt. An empty ``recipe``: none.
    """

    recipe: str = ""
    seeds: list[int] = field(default_factory=list)
    weight: float = 0.7


@dataclass(frozen=True)
class Encoder:
    """The share ``weight`` of what is learnt is the opinion of a linear SVM (its ``c``) on a pre-trained
    speech encoder (train/encoder.py); 0: none. With ``further`` the same speakers' recordings of other labels
    are learnt from too, by that opinion alone.
    """

    weight: float = 0.0
    c: float = 1e-5
    further: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The protocol of ``python -m train cv``."""

    split: Literal["loso", "group-kfold", "random-kfold", "leave-one-corpus-out"] = "loso"
    folds: int = 10
    seeds: list[int] = field(default_factory=lambda: [0])


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; ``frontend`` and ``augment`` are resolved by the modules that own them."""

    name: str
    description: str
    data: Data
    frontend: dict[str, Any]
    model: Model
    input: Input = field(default_factory=Input)
    augment: dict[str, dict[str, Any]] = field(default_factory=dict)
    optimizer: Optimizer = field(default_factory=Optimizer)
    fit: Fit = field(default_factory=Fit)
    teacher: Teacher = field(default_factory=Teacher)
    encoder: Encoder = field(default_factory=Encoder)
    evaluation: Evaluation = field(default_factory=Evaluation)
    published: dict[str, str] = field(
        default_factory=dict
    )  # what the authors of the system state, for the tables

    def as_dict(self) -> dict[str, Any]:
        """The resolved recipe, every default written out, as plain values that TOML and JSON can hold."""
        return typing.cast(dict[str, Any], _plain(self))


def recipe_names() -> list[str]:
    """The names of the recipes that come with the repository."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load recipe ``name`` (or a path that ends in .toml) and apply ``section.key=value`` overrides in their
    order.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(
            f"no recipe {name!r}{nearest(name, recipe_names())} (there are: {', '.join(recipe_names())})"
        )
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    apply_overrides(tree, overrides)
    return recipe_from_dict(tree, str(path.name))


def recipe_from_dict(tree: Mapping[str, Any], where: str) -> Recipe:
    """Check ``tree`` against the dataclasses above and build the recipe; ``where`` opens the error
    messages.
    """
    from train.augment import check_augment
    from train.models import architecture, check_model

    recipe = _build(Recipe, tree, where)
    check_model(recipe.model, where)
    check_augment(recipe.augment, where)
    options = frontend_options(recipe)
    if recipe.input.warps:
        _check_warps(recipe, options, where)
    if recipe.teacher.recipe and hasattr(architecture(recipe.model.architecture), "fit"):
        raise ConfigError(f"{where}: {recipe.model.architecture} is no network and cannot have a teacher")
    if recipe.encoder.weight and (
        hasattr(architecture(recipe.model.architecture), "fit") or recipe.input.silence == "class"
    ):
        raise ConfigError(f"{where}: [encoder] is for networks, and without silence as a class")
    for section, share in (("teacher", recipe.teacher.weight), ("encoder", recipe.encoder.weight)):
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"{where}: {section}.weight = {share} is not between 0 and 1")
    for merged in recipe.data.merge.values():
        if merged not in recipe.data.labels:
            raise ConfigError(f"{where}: data.merge leads to {merged!r}, which data.labels lacks")
    lead_s = recipe.input.lead_s
    if not 0.0 <= lead_s <= recipe.input.length_s:
        raise ConfigError(f"{where}: input.lead_s = {lead_s} is not between 0 and input.length_s")
    if recipe.input.cut == "segment" and not (recipe.input.frames > 0 and recipe.input.hop_frames > 0):
        raise ConfigError(f"{where}: input.cut = 'segment' needs input.frames and input.hop_frames above 0")
    return recipe


def _check_warps(recipe: Recipe, options: Any, where: str) -> None:
    from edge_ser.model_record import WARPS, are_warps
    from edge_ser.warp import misfit
    from train.models import architecture

    if not are_warps(recipe.input.warps):
        raise ConfigError(f"{where}: input.warps must be {WARPS}")
    if recipe.input.cut != "window" or architecture(recipe.model.architecture).FORM != "window":
        raise ConfigError(f"{where}: input.warps is for input.cut = 'window' and models of whole windows")
    if reason := misfit(options):
        raise ConfigError(f"{where}: input.{reason}")


def deciding(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe (as a dictionary) decides the fit: not what is said of it, nor how it is evaluated."""
    kept = {
        name: part for name, part in recipe.items() if name not in ("description", "evaluation", "published")
    }
    # Runs of before there were warps, leads, teachers or encoders do not name them.
    if "input" in recipe:
        unused = {"warps": [], "lead_s": 0.0}
        kept["input"] = {
            name: value
            for name, value in recipe["input"].items()
            if name not in unused or value != unused[name]
        }
    if not recipe.get("teacher", {}).get("recipe"):
        kept.pop("teacher", None)
    if not recipe.get("encoder", {}).get("weight"):
        kept.pop("encoder", None)
    return kept


def frontend_options(recipe: Recipe) -> Any:
    """The FrontendOptions of the recipe; raises ConfigError when the front end refuses them."""
    from edge_ser.frontend import FrontendOptions

    known = [each.name for each in fields(FrontendOptions)]
    for key in recipe.frontend:
        if key not in known:
            raise ConfigError(
                f"{recipe.name}: frontend.{key} is not an option of the front end{nearest(key, known)}"
            )
    return FrontendOptions(**recipe.frontend)


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set ``section.key=value`` in a recipe's tree, in their order. Values are TOML; a bare word is a
    string.
    """
    for override in overrides:
        _override(tree, override)


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    *path, last = key.strip().split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
    tree[last] = value


def _build(kind: type[T], tree: Mapping[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    for key in tree:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, known)}")
    values = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in tree:
            values[each.name] = _value(hints[each.name], tree[each.name], f"{where}: {each.name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(f"{where}: {each.name!r} is missing")
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    """``value`` as ``kind``; an int may stand for a float, nothing else is converted."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a section, not {value!r}")
        return _build(typing.cast(type[Any], kind), value, where)
    if origin is Literal:
        if value not in get_args(kind):
            choices = [str(choice) for choice in get_args(kind)]
            raise ConfigError(
                f"{where} = {value!r} is none of {', '.join(choices)}{nearest(str(value), choices)}"
            )
        return value
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, not {value!r}")
        return [_value(get_args(kind)[0], item, where) for item in value]
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a section, not {value!r}")
        return {key: _value(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} must be {kind.__name__}, not {value!r}")
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict | types.MappingProxyType):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def build_options(kind: type[T], tree: Mapping[str, Any], where: str) -> T:
    """Build any options dataclass from a section, as strictly as a recipe's own sections."""
    return _build(kind, tree, where)
