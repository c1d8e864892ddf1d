"""``python -m convert``: a trained run to a model file, and what its recipe is worth (convert/evaluate)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.evaluate import (
    kept,
    read_evaluation,
    robustness_parser,
    run_robustness,
    run_short,
    run_strangers,
    short_parser,
    strangers_parser,
)
from convert.measured import measure_parser, run_measure
from convert.shipped import run_shipped, shipped_parser
from edge_ser.errors import ConfigError, EdgeSerError, ModelError

EPILOG = "docs/converter.md explains the steps, the parity gate and the options for hard cases."


def parser() -> argparse.ArgumentParser:
    """The command line of a conversion; ``python -m convert cv`` has its own (``cv_parser``)."""
    top = argparse.ArgumentParser(
        prog="python -m convert",
        description="Convert a run of python -m train to one int8 model file. `python -m convert cv FOLDER "
        "-o FILE.json` converts all folds of a cross-validation and evaluates them; robustness, "
        "strangers and short add to that file; shipped makes the models that ship. Each of these has its own "
        "--help.",
        epilog=EPILOG,
    )
    top.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    top.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.tflite")
    top.add_argument("--name", help="the model's name (default: the file's)")
    top.add_argument(
        "--evaluation", type=Path, metavar="FILE.json", help="figures of the recipe, by convert cv"
    )
    top.add_argument("--card", type=Path, metavar="FILE.md", help="write the card here too")
    top.add_argument("--report", type=Path, metavar="FILE.json", help="write the parity report here")
    top.add_argument(
        "--allow-failed-parity",
        action="store_true",
        help="write the file though int8 differs; the card says so",
    )
    _common(top)
    return top


def cv_parser() -> argparse.ArgumentParser:
    cv = argparse.ArgumentParser(prog="python -m convert cv", epilog=EPILOG)
    cv.add_argument("folder", type=Path, metavar="CV", help="folder of a finished cross-validation")
    cv.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json")
    _common(cv)
    return cv


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--chunk", type=int, default=0, metavar="FRAMES", help="step models: frames to a step"
    )
    command.add_argument(
        "--window-s", type=float, metavar="S", help="the window of a run on whole utterances"
    )
    command.add_argument(
        "--repeat-to-s",
        type=float,
        metavar="S",
        help="shorter recordings are heard again: by step models until they are so long, for a window, where "
        "they break off, until it is full (default 1.5; 0: never)",
    )
    command.add_argument(
        "--lead-s",
        type=float,
        metavar="S",
        help="how much of what is before a recording's first sound is heard (0: all; default: as trained)",
    )
    command.add_argument(
        "--per-cell", type=int, default=2, help="calibration utterances per speaker and class"
    )
    command.add_argument("--seed", type=int, default=0, help="of the choice of calibration utterances")
    command.add_argument("--state-bits", type=int, choices=(8, 16), default=8, help="recurrent models")
    command.add_argument("--per-gate", action="store_true", help="recurrent models: a range for each gate")
    command.add_argument(
        "--fine-tune",
        type=int,
        metavar="EPOCHS",
        help="let the weights adapt to int8 for so long; 0: never (default: 3, then a 16-bit state, where "
        "training utterances kept apart say that int8 needs it)",
    )
    command.add_argument(
        "--int16-activations", action="store_true", help="16 bits between input and output; slow"
    )


def settings_of(arguments: argparse.Namespace) -> Any:
    from convert.pipeline import Settings
    from convert.recurrent import Precision
    from convert.runtimes import tflite_python
    from train.corpora import corpora_root

    repeat_to_s = Settings.repeat_to_s if arguments.repeat_to_s is None else arguments.repeat_to_s
    if not 0 <= repeat_to_s <= 3:
        raise ConfigError("--repeat-to-s must be between 0 and 3, the seconds of a live decision")
    if arguments.lead_s is not None and not 0 <= arguments.lead_s <= 3:
        raise ConfigError("--lead-s must be between 0 and 3, the seconds of a live decision")
    if arguments.per_cell < 1:
        raise ConfigError("--per-cell must be at least 1")
    return Settings(
        root=corpora_root(),
        chunk=arguments.chunk,
        window_s=arguments.window_s,
        repeat_to_s=repeat_to_s,
        lead_s=arguments.lead_s,
        per_cell=arguments.per_cell,
        seed=arguments.seed,
        precision=Precision(arguments.state_bits, arguments.per_gate),
        int16_activations=arguments.int16_activations,
        fine_tune=arguments.fine_tune,
        tflite_python=tflite_python(),
    )


def convert_run(arguments: argparse.Namespace, given: list[str]) -> int:
    from convert.modelfile import to_json
    from convert.pipeline import convert, model_bytes
    from convert.run import read_run
    from convert.runtimes import arm_python

    evaluation = read_evaluation(arguments.evaluation) if arguments.evaluation else {}
    settings = replace(settings_of(arguments), arm_python=arm_python())  # of each fold it would take too long
    conversion = convert(read_run(arguments.run), settings)
    parity = conversion.parity
    print(summary(parity, conversion.compiled))
    if arguments.report:
        arguments.report.write_text(to_json(parity), encoding="utf-8")
    if parity["failures"] and not arguments.allow_failed_parity:
        reasons = "; ".join(parity["failures"])
        raise ModelError(
            f"{arguments.output}: not written, {reasons}; train longer, or see --allow-failed-parity"
        )
    data, card = model_bytes(conversion, arguments.name or arguments.output.stem, evaluation)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(data)
    if arguments.card:
        arguments.card.write_text(card, encoding="utf-8")
    print(f"{arguments.output}: {len(data)} bytes")
    return 0


def convert_cv(arguments: argparse.Namespace, given: list[str]) -> int:
    from convert.cross import convert_folds
    from convert.modelfile import to_json

    result = convert_folds(arguments.folder, settings_of(arguments), print) | kept(arguments.output)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(to_json(result), encoding="utf-8")
    for name in ("uar", "wa"):
        low, high = (100 * bound for bound in result[name]["interval"])
        figures = f"float {100 * result[name]['float']:.1f}, int8 {100 * result[name]['int8']:.1f}"
        print(f"{name.upper()}: {figures} (95 % {low:.1f}–{high:.1f})")
    print(f"{arguments.output}: {result['protocol']}, {result['utterances']} utterances")
    return 0


def summary(parity: dict[str, Any], compiled: Any) -> str:
    """What a conversion came to, in a few lines."""
    from convert.card import tuning_text
    from convert.parity import INTERPRETERS

    lines = [
        f"graph {len(compiled.flatbuffer)} bytes for {compiled.weight_bytes} weights, "
        f"{compiled.multiply_adds} multiply-adds",
        f"parity on {parity['on']}: labels agree {100 * parity['label_agreement']:.1f} % of "
        f"{parity['utterances']}, "
        f"UAR {100 * parity['uar']['float']:.1f} → {100 * parity['uar']['int8']:.1f}, "
        f"worst logit difference {parity['worst_logit_difference']:.3f} of {parity['logit_range']:.1f}",
    ]
    for name, entry in parity.get("runtimes", {}).items():
        lines.append(
            f"{INTERPRETERS[name]} differ by at most {entry['worst_lsb']} on {entry['inputs']} inputs"
        )
    if not parity.get("runtimes"):
        lines.append("not compared with tflite-runtime: python -m convert.runtimes makes it an environment")
    lines.append(tuning_text(parity["fine_tuning"]))
    return "\n".join(lines)


def strangers_with_options() -> argparse.ArgumentParser:
    command = strangers_parser()
    _common(command)
    return command


def strangers(arguments: argparse.Namespace, given: list[str]) -> int:
    return run_strangers(arguments, settings_of(arguments), given)


COMMANDS: dict[str, tuple[Callable[[], argparse.ArgumentParser], Callable[..., int]]] = {
    "cv": (cv_parser, convert_cv),
    "robustness": (robustness_parser, run_robustness),
    "short": (short_parser, run_short),
    "strangers": (strangers_with_options, strangers),
    "measure": (measure_parser, run_measure),
    "shipped": (shipped_parser, run_shipped),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from train.backend import configure

        make_parser, run = COMMANDS.get(given[0] if given else "", (parser, convert_run))
        options = make_parser().parse_args(given[make_parser is not parser :])
        configure()
        return run(options, given)
    except EdgeSerError as error:
        print(f"python -m convert: {error}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
