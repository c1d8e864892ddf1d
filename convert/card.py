"""The model card in Markdown, from edge_ser.json alone: what the file says of itself, for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

from convert.confidence import calibration_of
from convert.measured import measured_section
from convert.parity import INTERPRETERS
from convert.tables import (
    interval,
    loss,
    percent,
    robustness_section,
    short_section,
    strangers_section,
    table,
)


def write_card(record: Mapping[str, Any]) -> str:
    """The card. Sections without data are left out; a failed parity check stands at the top."""
    evaluation: Mapping[str, Any] = record["evaluation"]
    parity = evaluation.get("parity", {})
    parts = [f"# {record['name']}\n\n{record['description']}"]
    if parity.get("failures"):
        reasons = "; ".join(parity["failures"])
        parts.append(f"**This file failed its parity check and was written all the same: {reasons}.**")
    parts += [_use(record), _facts(record)]
    if "uar" in evaluation:
        parts.append(_figures(record))
    calibration = calibration_of(evaluation)
    if calibration:
        parts.append(_confidence(calibration))
    if parity:
        checks = [evaluation[key] for key in ("folds_parity", "parity") if key in evaluation]
        parts.append("## Float against int8\n\n" + "\n\n".join(map(_parity, checks)))
    for key, title, section in (
        ("robustness", "Robustness", robustness_section),
        ("strangers", "Strangers", strangers_section),
        ("short", "Little speech", short_section),
    ):
        if key in evaluation:
            parts.append(f"## {title}\n\n{section(evaluation[key])}")
    parts += [measured_section(record), _training(record["training"]), _provenance(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _use(record: Mapping[str, Any]) -> str:
    return (
        f"**Use.** {record['intended_use']}\n\n**Limits.** {record['limits']}\n\n"
        f"**Licence of the weights:** {record['license']}, by the corpora below."
    )


def _facts(record: Mapping[str, Any]) -> str:
    frontend, given, graph = record["frontend"], record["input"], record["graph"]
    feature = "log-mel" if frontend["feature"] == "log_mel" else "MFCC"
    chain = (
        f"{given['features']} {feature}, {frontend['preset']} convention, {frontend['window_ms']:g} ms "
        f"windows every "
        f"{frontend['hop_ms']:g} ms, {frontend['n_fft']}-point FFT, {frontend['n_mels']} mel bands, "
        f"{frontend['rate_hz']} Hz"
    )
    if record["form"] == "step":
        state = sum(_bytes(entry) for entry in record["state"])
        taken = given["frames"] * frontend["hop_ms"]
        form = f"step: {given['frames']} frames ({taken:g} ms) in, scores out, {state} bytes of state carried"
        if record["window"].get("repeat_to_s"):
            form += (
                f"; what is shorter than {record['window']['repeat_to_s']:g} s is heard again from its start"
            )
    else:
        window = record["window"]
        form = f"window of {window['length_s']:g} s ({given['frames']} frames), every {window['hop_s']:g} s"
        if record.get("warps"):
            factors = ", ".join(f"{exp(each):.3g}" for each in record["warps"])
            times = 1 + len(record["warps"])
            form += f"; heard {times} times, as it is and with the frequency axis times {factors}"
        if window.get("repeat_to_s"):
            form += f"; what is shorter than {window['repeat_to_s']:g} s and breaks off is heard again"
    if record["window"].get("lead_s"):
        form += f"; a recording is heard from {record['window']['lead_s']:g} s before its first sound"
    return "## The model\n\n" + table(
        ("", ""),
        [
            ("labels", ", ".join(record["labels"])),
            ("input", chain),
            ("form", form),
            (
                "architecture",
                f"{record['training']['architecture']}, {record['training']['parameters']} parameters",
            ),
            (
                "graph",
                f"{graph['bytes']} bytes, int8 in and out, {graph['multiply_adds']} multiply-adds a run",
            ),
            ("operations", ", ".join(graph["ops"])),
        ],
    )


def _bytes(state: Mapping[str, Any]) -> int:
    total = 2 if state["dtype"] == "int16" else 1
    for size in state["shape"]:
        total *= size
    return total


def _figures(record: Mapping[str, Any]) -> str:
    evaluation = record["evaluation"]
    uar = evaluation["uar"]
    keys = ("float", "float_interval", "int8", "interval")
    figures = [(name.upper(), *(_figure(evaluation[name][key]) for key in keys)) for name in ("uar", "wa")]
    lines = [
        "## Figures",
        f"{evaluation['protocol']}; {evaluation['utterances']} utterances of {evaluation['speakers']} "
        f"speakers; "
        f"last epoch, seeds {', '.join(map(str, evaluation['seeds']))}. UAR is the mean of the classes' "
        f"recalls, WA the "
        "share that is right. int8 is measured through the whole chain: file, C front end, int8 graph. "
        "Intervals: "
        "95 %, bootstrap over speakers. The figures are those of the models of the folds; this file "
        "was trained "
        "by the same recipe on all speakers.",
        table(("", "float", "95 % interval", "int8", "95 % interval"), figures),
        f"As a device hears them, {loss(uar['float'], uar['int8'], uar.get('loss_interval'))}.",
    ]
    classes = [
        (
            label,
            entry["utterances"],
            *(percent(entry[key]) for key in ("recall_float", "recall", "precision", "f1")),
        )
        for label, entry in evaluation["per_class"].items()
    ]
    lines.append(table(("class", "utterances", "recall, float", "recall, int8", "precision", "F1"), classes))
    for title, key in (("gender", "per_gender"), ("corpus", "per_corpus"), ("speaker", "per_speaker")):
        groups = evaluation.get(key, {})
        if groups:
            cells = [(name, entry["utterances"], *_both(entry)) for name, entry in groups.items()]
            columns = (title, "utterances", "UAR, float", "UAR, int8", "WA, float", "WA, int8")
            lines.append(table(columns, cells))
    header = ("true \\ said", *record["labels"])
    rows = [(label, *row) for label, row in zip(record["labels"], evaluation["confusion"], strict=True)]
    seeds = len(evaluation["seeds"])
    every = f", all {seeds} seeds together" if seeds > 1 else ""
    lines.append(f"Confusions, int8{every}:\n\n" + table(header, rows))
    if seeds > 1 and "per_seed" in evaluation:
        each = ", ".join(f"{seed}: {percent(entry['uar'])}" for seed, entry in evaluation["per_seed"].items())
        lines.append(f"UAR of each seed, int8: {each}.")
    return "\n\n".join(lines)


def _figure(value: float | Sequence[float]) -> str:
    return interval(value) if isinstance(value, Sequence) else percent(value)


def _both(entry: Mapping[str, Any]) -> list[str]:
    """UAR and WA of a group, float beside int8; evaluations of schema-1 files made before had int8 alone."""
    names = ("uar_float", "uar", "wa_float", "wa")
    return [percent(entry[name]) if name in entry else "–" for name in names]


def _confidence(calibration: Mapping[str, Any]) -> str:
    group = calibration.get("apart", "speaker")
    groups = {"speaker": "speakers", "corpus": "corpora"}[group]
    text = (
        f"## Confidence\n\nLogits are divided by {calibration['temperature']:g} before the softmax; below "
        f'{percent(calibration["abstain_below"])} the answer is "uncertain": fewer than half of the '
        f"answers down there are right. Both come from {groups} that the predicting model had not heard. "
    )
    if "ece_after" in calibration:
        text += (
            f"Fitted on all but one {group} and measured on that one: expected calibration error "
            f"{calibration['ece_before']:.3f} → {calibration['ece_after']:.3f}; "
            f"{percent(calibration['answered'])} answered, {percent(calibration['accuracy_of_answers'])} "
            f"of the "
            f"answers right, of the uncertain ones {percent(calibration['accuracy_of_the_uncertain'])}."
        )
    return text


def _parity(parity: Mapping[str, Any]) -> str:
    lines = [
        f"On {parity['on']}: labels agree on {percent(parity['label_agreement'])} of "
        f"{parity['utterances']} utterances, "
        f"UAR {percent(parity['uar']['float'])} → {percent(parity['uar']['int8'])}, worst logit difference "
        f"{parity['worst_logit_difference']:.3f} (rms {parity['rms_logit_difference']:.3f}) where logits "
        f"span "
        f"{parity['logit_range']:.1f}.",
    ]
    for name, entry in parity.get("runtimes", {}).items():
        lines.append(
            f"{INTERPRETERS[name]} give equal codes in {percent(entry['equal_share'])} of the outputs "
            f"and differ "
            f"by at most {entry['worst_lsb']}."
        )
    if parity.get("runtimes") == {}:
        lines.append("Not compared with tflite-runtime, which was not at hand.")
    if "fine_tuning" in parity:
        lines.append(tuning_text(parity["fine_tuning"]))
    return "\n\n".join(lines)


def tuning_text(tuning: Mapping[str, Any]) -> str:
    """On fine-tuning and other ways of holding the model: which it is, what decided that, what each gave."""
    epochs = tuning["epochs"]
    done = f"Fine-tuned to int8 for {epochs} epochs" if epochs else "Not fine-tuned to int8"
    if tuning.get("way", "").startswith("16-bit state"):
        done += ", with a 16-bit state"
    text = f"{done}: {tuning['why']}"
    if "tried" in tuning:
        each = "; ".join(f"{way}: {_cost(cost)}" for way, cost in tuning["tried"].items())
        mixed = f"{tuning['mixtures']} mixtures of " if "mixtures" in tuning else ""
        text += f", measured on {mixed}{tuning['utterances']} training utterances kept apart ({each})"
    return text + "."


def _cost(cost: Mapping[str, float]) -> str:
    return (
        f"UAR loss {cost['uar_loss_points']:.1f} points, {percent(cost['label_agreement'])} agreement, "
        f"logits {cost['rms_logit_difference']:.3f} apart"
    )


def _training(training: Mapping[str, Any]) -> str:
    rows = [
        (entry["name"], entry["license"], entry["language"], entry["utterances"], entry["speakers"])
        for entry in training["corpora"]
    ]
    return (
        f"## Training\n\nRecipe `{training['recipe']}`, seed {training['seed']}:\n\n"
        + table(("corpus", "licence", "language", "utterances", "speakers"), rows)
        + (f"\n\n{_encoder(training['encoder'])}" if "encoder" in training else "")
        + f"\n\n    {training['command']}"
    )


def _encoder(told: Mapping[str, Any]) -> str:
    of = [f"it learnt, {percent(told['share'])}"] if "share" in told else []
    teacher = told.get("teacher")
    if teacher:
        of.append(f"its teachers, of recipe `{teacher['recipe']}`, learnt, {percent(teacher['share'])}")
    text = (
        f"Of what {', and of what '.join(of)} is the opinion of a linear SVM on a pre-trained "
        f"speech encoder ({told['name']}, {told['license']}), which learnt from the same recordings; nothing "
        "of either is in the file."
    )
    if further := told.get("further_utterances"):
        by = "that opinion and the teachers' answers" if teacher else "that opinion"
        text += f" {further} recordings of other emotions by the same speakers were learnt by {by} alone."
    return text


def _provenance(record: Mapping[str, Any]) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in record["tools"].items())
    commit = record["training"]["git_commit"][:12]
    digest = record["graph"]["sha256"]
    return f"Trained at commit {commit or 'unknown'}; converted with {tools}; graph sha256 `{digest}`."
