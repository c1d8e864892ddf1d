"""What becomes of each recipe in the converter: a line of docs/converter.md's table for every run.

    python -m benchmarks.int8_recipes RUN…

RUN is a folder of ``python -m train fit … --hold-out SPEAKER``, or a fold of a cross-validation. "Of
mixtures" is the agreement by which the converter chose how to hold the model, on training data alone.
tests/test_convert_long.py prints the same line of the runs that it trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from train.backend import configure

configure()

from convert.pipeline import Conversion, Settings, convert  # noqa: E402
from convert.run import read_run  # noqa: E402
from convert.runtimes import tflite_python  # noqa: E402
from convert.tables import percent, table  # noqa: E402
from train.corpora import corpora_root  # noqa: E402

HEADER = (
    "recipe", "form", "int8 weights, bytes", "graph", "at most", "held-out utterances", "labels agree",
    "of mixtures", "UAR, float → int8, %", "logit difference, rms", "worst", "of",
    "tflite-runtime, codes apart", "held in",
)  # fmt: skip


def row(name: str, conversion: Conversion) -> tuple[str, ...]:
    compiled, parity = conversion.compiled, conversion.parity
    tuning = parity["fine_tuning"]
    apart = parity["runtimes"].get("tflite-runtime", {}).get("worst_lsb", "not measured")
    cells = (
        f"`{name}`",
        "step" if conversion.run.step else "window",
        compiled.weight_bytes,
        len(compiled.flatbuffer),
        int(1.3 * compiled.weight_bytes + 8192),
        parity["utterances"],
        percent(parity["label_agreement"]),
        percent(tuning["tried"][tuning["way"]]["label_agreement"]),
        " → ".join(f"{100 * parity['uar'][of]:.1f}" for of in ("float", "int8")),
        f"{parity['rms_logit_difference']:.3f}",
        f"{parity['worst_logit_difference']:.2f}",
        f"{parity['logit_range']:.1f}",
        apart,
        tuning["way"],
    )
    return tuple(map(str, cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    rows: list[tuple[str, ...]] = []
    for folder in parser.parse_args().runs:
        run = read_run(folder)
        conversion = convert(run, Settings(root=corpora_root(), tflite_python=tflite_python(make=True)))
        rows.append(row(run.record["recipe_name"], conversion))
        print(table(HEADER, rows[-1:]), flush=True)
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
