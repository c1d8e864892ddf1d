"""From whole corpora to the utterances of a recipe: labels, duplicates and unreadable files, each by a
visible rule.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import soundfile

from edge_ser.errors import AudioError, ConfigError
from train.corpora import corpora_root, read_corpus
from train.naming import nearest
from train.recipe import Data
from train.utterance import Utterance


@dataclass
class Selection:
    """The utterances to use, and each recording that is not used with the reason."""

    utterances: list[Utterance]
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def summary(self) -> str:
        """One line per reason with its count, one for what is kept."""
        reasons = Counter(reason for _, reason in self.left_out)
        lines = [
            f"{len(self.utterances)} utterances of {len({u.speaker_id for u in self.utterances})} speakers"
        ]
        lines += [f"{count} left out: {reason}" for reason, count in sorted(reasons.items())]
        return "\n".join(lines)


def select(data: Data, root: Path | None = None, every_label: bool = True) -> Selection:
    """Read the corpora of ``data`` below ``root`` (default ``$EDGE_SER_CORPORA``) and apply its rules.

    Every utterance kept has its duration and the SHA-256 of its published original (its file's where none is
    stated). Raises ConfigError when nothing is left or (with ``every_label``) a label has no utterance,
    AudioError for an unreadable file under the rule "refuse".
    """
    root = corpora_root() if root is None else root
    chosen = Selection([])
    for name in data.corpora:
        listing = read_corpus(name, root)
        chosen.left_out += [(f"{name}/{path}", reason) for path, reason in listing.skipped]
        for utterance in listing.utterances:
            _choose(data, utterance, chosen)
    readable = []
    for utterance in chosen.utterances:
        inspected = _inspect(data, root, utterance)
        if inspected is None:
            chosen.left_out.append((utterance.path, "unreadable"))
        else:
            readable.append(inspected)
    chosen.utterances = readable
    _drop_duplicates(data, chosen)
    have = {utterance.emotion for utterance in chosen.utterances}
    missing = [label for label in data.labels if label not in have]
    if missing and (every_label or not have):
        raise ConfigError(f"no utterance is labelled {missing[0]!r} in {', '.join(data.corpora)}")
    return chosen


def _choose(data: Data, utterance: Utterance, chosen: Selection) -> None:
    known = {each.name for each in fields(Utterance)}
    for key, values in data.only.items():
        if key not in known:
            raise ConfigError(f"data.only.{key} is not a field of an utterance{nearest(key, known)}")
        if str(getattr(utterance, key)) not in values:
            chosen.left_out.append((utterance.path, f"{key} is not {' or '.join(values)}"))
            return
    emotion = data.merge.get(utterance.emotion, utterance.emotion)
    if emotion not in data.labels:
        chosen.left_out.append((utterance.path, f"emotion {utterance.emotion!r} is not in data.labels"))
        return
    chosen.utterances.append(replace(utterance, emotion=emotion))


def _inspect(data: Data, root: Path, utterance: Utterance) -> Utterance | None:
    """The utterance with its duration and digest, or None when it cannot be read and may be skipped."""
    path = root / utterance.path
    try:
        duration_s = soundfile.info(path).duration
        if duration_s == 0:
            raise AudioError(f"{path}: no samples")
    except (soundfile.LibsndfileError, AudioError, OSError) as error:
        if data.unreadable == "refuse":
            raise AudioError(
                f"{path}: unreadable ({error}); data.unreadable = 'skip' leaves it out"
            ) from None
        return None
    digest = utterance.sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(utterance, duration_s=round(duration_s, 4), sha256=digest)


def _drop_duplicates(data: Data, chosen: Selection) -> None:
    """Byte-identical recordings: keep one when they agree on the label, none when they contradict each
    other.
    """
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in chosen.utterances:
        groups[utterance.sha256].append(utterance)
    twins = [group for group in groups.values() if len(group) > 1]
    if not twins or data.duplicates == "keep":
        return
    if data.duplicates == "refuse":
        first, second = twins[0][:2]
        raise ConfigError(
            f"{first.path} and {second.path} are byte-identical; data.duplicates = 'drop' keeps one"
        )
    dropped = {}
    for group in twins:
        agree = len({utterance.emotion for utterance in group}) == 1
        for utterance in group[1:] if agree else group:
            reason = "byte-identical to another" if agree else "byte-identical to another with another label"
            dropped[utterance.path] = reason
    chosen.left_out += list(dropped.items())
    chosen.utterances = [utterance for utterance in chosen.utterances if utterance.path not in dropped]
