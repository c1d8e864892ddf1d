"""What is in a model file: labels, input, size, training, figures; and whether it works on this machine."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from edge_ser.cli.quiet import quiet_start

if TYPE_CHECKING:
    from edge_ser.model import Model


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("model", nargs="?", help="model file, or the name of an installed one")
    parser.add_argument(
        "--list", action="store_true", help="the models that are installed, the default first"
    )
    parser.add_argument("--card", action="store_true", help="print the model card (Markdown)")
    parser.add_argument("--json", action="store_true", help="print the whole record of the model")
    parser.add_argument(
        "--self-test", action="store_true", help="compare this machine with the model's golden vector"
    )
    parser.add_argument("--runtime", help="of --self-test: ai_edge_litert, tflite_runtime or tensorflow")


def run(arguments: Namespace) -> int:
    """Print what was asked for; 3 when the self-test fails."""
    from edge_ser.model import Model

    if arguments.list:
        return _list(arguments)
    model = Model.load(arguments.model)
    if arguments.self_test:
        return _self_test(model, arguments)
    if arguments.card:
        print(model.card.rstrip() or "this model has no card")
    elif arguments.json:
        from json import dumps

        print(dumps({"v": 1, "type": "model", "file": model.source, **model.record}, ensure_ascii=False))
    else:
        for name, value in _summary(model):
            print(f"{name:12}{value}")
    return 0


def _list(arguments: Namespace) -> int:
    from edge_ser.model import Model, shipped_models

    names = shipped_models()
    width = max(map(len, names), default=0) + 2
    for place, name in enumerate(names):
        model = Model.load(name)
        if arguments.json:
            from json import dumps

            record = {"v": 1, "type": "model", "file": model.source, **model.record}
            print(dumps(record, ensure_ascii=False))
            continue
        evaluation = model.record.get("evaluation", {})
        uar, strangers = evaluation.get("uar"), _strangers(evaluation)
        figure = f"; UAR {uar['int8']:.3f}" if isinstance(uar, dict) and "int8" in uar else ""
        figure += f"; UAR {strangers['uar']:.3f} in unheard corpora" if strangers else ""
        corpora = _objects(model.record.get("training", {}).get("corpora"))
        learnt = ", ".join(str(entry.get("name", "?")) for entry in corpora)
        print(
            f"{name:{width}}{'(default) ' if place == 0 else ''}{model.form}; {', '.join(model.labels)}; "
            f"{len(model.graph) / 1000:.0f} kB; trained on {learnt}{figure}"
        )
    return 0


def _summary(model: Model) -> list[tuple[str, str]]:
    record, frontend = model.record, model.frontend
    training, evaluation = record.get("training", {}), record.get("evaluation", {})
    shape = f"{model.frames} frames of {model.n_features} features"
    feature = f"{frontend.feature}, {frontend.preset} preset, {frontend.window_ms:g}/{frontend.hop_ms:g} ms"
    if model.form == "window":
        form = f"{model.length_s:g} s at a time, every {model.hop_s:g} s"
        if model.repeat_to_s:
            form += f"; what is shorter than {model.repeat_to_s:g} s and breaks off is heard again"
    else:
        form = f"a step of {model.frames * frontend.hop_ms:g} ms after another, with a state"
        if model.repeat_chunks:
            form += f"; at least {model.repeat_chunks}: what is shorter is heard again"
    if model.lead_s:
        form += f"; a recording from {model.lead_s:g} s before its first sound"
    rows = [
        ("model", f"{model.name} ({model.source})"),
        ("description", str(record.get("description", ""))),
        ("labels", ", ".join(model.labels)),
        ("hears", f"{model.rate_hz} Hz mono, {form}"),
        ("input", f"{shape} ({feature})"),
        ("warps", _warps(model)),
        ("graph", f"{len(model.graph):,} bytes, int8: {', '.join(record['graph']['ops'])}"),
        ("calibration", _calibration(model)),
        ("trained on", "; ".join(_corpus(entry) for entry in _objects(training.get("corpora")))),
        ("recipe", " ".join(str(training.get(key, "")) for key in ("recipe", "git_commit")).strip()),
        ("protocol", str(evaluation.get("protocol", ""))),
        *(
            (name.upper(), _figure(evaluation[name]))
            for name in ("uar", "wa")
            if isinstance(evaluation.get(name), dict)
        ),
        ("strangers", _unheard(_strangers(evaluation))),
        ("licence", str(record.get("license", ""))),
        ("for", str(record.get("intended_use", ""))),
        ("limits", str(record.get("limits", ""))),
    ]
    return [(name, value) for name, value in rows if value]


def _calibration(model: Model) -> str:
    text = f"temperature {model.temperature:g}, uncertain below {model.abstain_below:g}"
    short = model.shortness
    if short.exponent:
        text += f"; less sure of less than {short.full_s:g} s of speech (exponent {short.exponent:g})"
    return text


def _warps(model: Model) -> str:
    if not model.warps:
        return ""
    from math import exp

    factors = ", ".join(f"{exp(each):.3g}" for each in model.warps)
    return (
        f"each window is heard {1 + len(model.warps)} times: as it is, and its frequency axis times {factors}"
    )


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _corpus(entry: dict[str, Any]) -> str:
    size = f"{entry.get('utterances', '?')} utterances, {entry.get('speakers', '?')} speakers"
    return f"{entry.get('name', '?')} ({entry.get('language', '?')}, {size}, {entry.get('license', '?')})"


def _strangers(evaluation: Any) -> dict[str, Any]:
    """Mean UAR, with its interval, over corpora of which training had nothing; empty where not measured."""
    try:
        mean = evaluation["strangers"]["mean"]["plain"]
        return {"uar": float(mean["uar"]), "interval": [float(end) for end in mean["interval"]]}
    except (KeyError, TypeError, ValueError):
        return {}


def _unheard(strangers: dict[str, Any]) -> str:
    if not strangers:
        return ""
    low, high = strangers["interval"]
    return f"UAR {strangers['uar']:.3f} [{low:.3f}, {high:.3f}], mean of corpora that training had not heard"


def _figure(value: dict[str, Any]) -> str:
    text = ", ".join(
        f"{key} {value[key]:.3f}" for key in ("float", "int8") if isinstance(value.get(key), float)
    )
    interval = value.get("interval")
    if isinstance(interval, list) and len(interval) == 2 and all(isinstance(end, float) for end in interval):
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return text


def _self_test(model: Model, arguments: Namespace) -> int:
    with quiet_start():
        result = model.self_test(arguments.runtime)
    if arguments.json:
        from dataclasses import asdict
        from json import dumps

        print(
            dumps(
                {"v": 1, "type": "self_test", "model": model.name, **asdict(result), "passed": result.passed}
            )
        )
    else:
        verdict = f"self-test {'passed' if result.passed else 'FAILED'} on {result.runtime}"
        print(
            f"{verdict}: features differ by up to {result.feature_difference} step(s) "
            f"({result.features_differing:.2%} of them), scores by {result.score_difference}"
        )
    if not result.passed:
        print(
            "edge-ser info: this machine computes something else than the model's maker did", file=sys.stderr
        )
    return 0 if result.passed else 3
