"""What each way of holding a trained model in integers gives: error, labels, size, time.

    python -m benchmarks.int8_options RUN… [-o docs/results/int8-options.json]

RUN is a folder of ``python -m train fit … --hold-out SPEAKER``. Each option is converted from the same float
weights and the same calibration utterances and measured on the run's held-out speakers against the float
model. Times are medians over interleaved rounds, one thread, of this machine: read their ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.backend import configure

configure()

from convert.compiler import Compiled  # noqa: E402
from convert.modelfile import to_json  # noqa: E402
from convert.pipeline import Conversion, Settings, convert  # noqa: E402
from convert.recurrent import Precision  # noqa: E402
from convert.run import read_run  # noqa: E402
from convert.runtimes import tflite_python  # noqa: E402
from edge_ser.provenance import Machine  # noqa: E402
from train.corpora import corpora_root  # noqa: E402

ROUNDS = 15


@dataclass(frozen=True)
class Choice:
    name: str
    settings: dict[str, Any]
    recurrent: bool = False  # makes sense for recurrent cells only


CHOICES = [
    Choice("int8", {}),
    Choice("int8, 3 epochs of fine-tuning", {"fine_tune": 3}),
    Choice("int8, a range for each gate", {"precision": Precision(8, True)}, True),
    Choice("16-bit state and gates", {"precision": Precision(16)}, True),
    Choice("int16 activations", {"int16_activations": True}),
]


def runner(compiled: Compiled, codes: np.ndarray[Any, Any]) -> Any:
    """A function that runs the graph once, with its interpreter made beforehand."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=compiled.flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes[np.newaxis])
    return interpreter.invoke


def microseconds(conversions: list[Conversion]) -> list[float]:
    """Median time of an invocation of each, in interleaved rounds."""
    calls = [
        runner(each.compiled, each.compiled.quantise(each.inputs.features[0])[: each.compiled.frames])
        for each in conversions
    ]
    times = np.zeros((ROUNDS, len(calls)))
    for row in times:
        for place, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(20):
                call()
            row[place] = (time.perf_counter() - start) / 20 * 1e6
    return [float(value) for value in np.median(times[1:], axis=0)]


def measure(folder: Path, only: list[str]) -> list[dict[str, Any]]:
    run = read_run(folder)
    recurrent = run.record["model"]["kind"] in ("gru", "lstm", "rnn", "bilstm")
    choices = [each for each in CHOICES if recurrent or not each.recurrent]
    choices = [each for each in choices if not only or each.name in only]
    conversions = []
    for choice in choices:
        chosen = {"fine_tune": 0, **choice.settings}
        settings = Settings(root=corpora_root(), tflite_python=tflite_python(), **chosen)
        conversions.append(convert(run, settings))
    rows = []
    for choice, conversion, each in zip(choices, conversions, microseconds(conversions), strict=True):
        parity = conversion.parity
        rows.append(
            {
                "run": run.record["recipe_name"],
                "option": choice.name,
                "on": parity["on"],
                "utterances": parity["utterances"],
                "bytes": len(conversion.compiled.flatbuffer),
                "bytes_limit": int(1.3 * conversion.compiled.weight_bytes + 8192),
                "label_agreement": round(parity["label_agreement"], 4),
                "uar_float": round(parity["uar"]["float"], 4),
                "uar_int8": round(parity["uar"]["int8"], 4),
                "rms_logit_difference": round(parity["rms_logit_difference"], 4),
                "worst_logit_difference": round(parity["worst_logit_difference"], 3),
                "runtimes_worst_lsb": parity["runtimes"].get("tflite-runtime", {}).get("worst_lsb"),
                "microseconds": round(each, 2),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--only", action="append", default=[], metavar="OPTION")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = [row for folder in arguments.runs for row in measure(folder, arguments.only)]
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(to_json({"machine": Machine.read().as_dict(), "rows": rows}))


if __name__ == "__main__":
    main()
