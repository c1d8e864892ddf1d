"""Where the error of a recurrent model in int8 comes from: one part at a time held in integers.

    python -m benchmarks.int8_parts RUN… [-o docs/results/int8-parts.json]

RUN is a folder of ``python -m train fit … --hold-out SPEAKER``, or a fold, of a recurrent model over a fixed
window. The float graph runs over the held-out speakers with every rounding of the int8 graph put into some
parts and none into the others; so "without" a part is what 16 bits could give there. Then ranges of the
state, and what noise of a known size in the logits does to the labels: how decided the model is at all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from train.backend import configure

configure()

from convert.calibration import choose  # noqa: E402
from convert.compiler import OUTPUT_HEADROOM  # noqa: E402
from convert.data import Inputs, Source  # noqa: E402
from convert.finetune import RoundedGraph  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.ir import Array, Float, Graph, Value  # noqa: E402
from convert.modelfile import to_json  # noqa: E402
from convert.observe import observe, origin, run_float  # noqa: E402
from convert.parity import MIN_AGREEMENT, Labels, Logits, compare, utterance_scores  # noqa: E402
from convert.run import Run, read_run  # noqa: E402
from edge_ser.errors import ConfigError  # noqa: E402
from edge_ser.provenance import Machine  # noqa: E402
from train.corpora import corpora_root  # noqa: E402
from train.dataset import true_labels  # noqa: E402

NOISES = (0.02, 0.05, 0.1, 0.2)
DRAWS = 200
STATE = "state c"


class Parts:
    """A run's graph with its ranges, and the held-out speakers' inputs."""

    def __init__(self, folder: Path) -> None:
        self.run: Run = read_run(folder)
        source = Source(self.run, corpora_root())
        if source.frames is None:
            raise ConfigError(f"{folder}: a step model; this compares windows")
        chosen = [self.run.train[index] for index in choose(self.run.train, 2, 0)]
        self.calibration = source.inputs(chosen).stacked()
        self.held_out: Inputs = source.inputs(self.run.held_out)
        self.features = self.held_out.stacked()
        classes = len(self.run.labels)
        self.graph: Graph = build_graph(self.run.load_model(), source.frames, False, classes=classes)
        observe(self.graph, self.calibration)
        for value in {self.graph.outputs[0], origin(self.graph.outputs[0])}:
            value.low, value.high = OUTPUT_HEADROOM * value.low, OUTPUT_HEADROOM * value.high
        self.parts = parts_of(self.graph)
        self.names = sorted(set(self.parts.values()))
        self.true: Labels = true_labels(self.run.labels, self.run.held_out)
        self.floats: Float = run_float(self.graph, self.features)[:, 0]

    def row(self, option: str, held: set[str]) -> dict[str, Any]:
        """What rounding the parts ``held`` does to the held-out speakers."""
        rounding = RoundedGraph(self.graph)

        def see(value: Value, array: Array) -> Array:
            return rounding.rounded(value, array) if self.parts.get(value) in held else array

        ints = np.asarray(self.graph.run([self.features], [], see).outputs[0])
        logits = Logits(self.floats, ints)
        report = compare(logits, self.held_out.owners, self.true, self.run.labels, "")
        row = {
            "run": self.run.record["recipe_name"],
            "option": option,
            "utterances": len(self.true),
            "label_agreement": round(report["label_agreement"], 4),
            "uar_float": round(report["uar"]["float"], 4),
            "uar_int8": round(report["uar"]["int8"], 4),
            "rms_logit_difference": round(report["rms_logit_difference"], 4),
            "worst_logit_difference": round(report["worst_logit_difference"], 3),
        }
        print(json.dumps(row), flush=True)
        return row

    def with_range(self, choose_range: Callable[[Float], tuple[float, float]], option: str) -> dict[str, Any]:
        """All parts, with another range for the cell state."""
        tied = [value for value, part in self.parts.items() if part == STATE]
        kept = [(value.low, value.high) for value in tied]
        seen: list[Float] = []
        self.graph.run([self.calibration], [], lambda v, a: _collect(v, a, tied, seen))
        for value in tied:
            value.low, value.high = choose_range(np.concatenate(seen))
        row = self.row(option, set(self.names))
        for value, ends in zip(tied, kept, strict=True):
            value.low, value.high = ends
        return row

    def decided(self) -> dict[str, Any]:
        """How near the two best classes are, and what noise of a known size does to the labels."""
        owners = self.held_out.owners
        scores = utterance_scores(self.floats, owners)
        best, second = np.sort(scores, axis=1)[:, -1], np.sort(scores, axis=1)[:, -2]
        rng = np.random.default_rng(0)
        noise = {}
        for size in NOISES:
            moved = [
                utterance_scores(self.floats + rng.normal(0, size, self.floats.shape).astype("f"), owners)
                for _ in range(DRAWS)
            ]
            agree = np.array([np.mean(each.argmax(1) == scores.argmax(1)) for each in moved])
            refused = float(np.mean(agree < MIN_AGREEMENT))
            noise[str(size)] = {"label_agreement": round(float(agree.mean()), 4), "refused": refused}
        return {
            "run": self.run.record["recipe_name"],
            "utterances": len(scores),
            "logit_range": round(float(np.ptp(self.floats)), 1),
            "margin_below": {str(m): int((best - second < m).sum()) for m in (0.005, 0.01, 0.02, 0.05)},
            "noise": noise,
        }


def _collect(value: Value, array: Array, wanted: list[Value], seen: list[Float]) -> Array:
    if value in wanted:
        seen.append(np.asarray(array).reshape(-1))
    return array


def parts_of(graph: Graph) -> dict[Value, str]:
    """Every rounded value's part, in words."""
    parts: dict[Value, str] = {graph.inputs[0]: "input"}
    for op in graph.all_ops():
        for value in op.outputs:
            parts[value] = "layers behind the loop"
        if op.kind == "FULLY_CONNECTED":
            parts[op.inputs[1]] = "weights"
    for op in graph.ops:
        if op.kind != "SCAN":
            continue
        body: Graph = op.options["body"]
        for value in [*op.inputs[: op.options["sequences"]], *body.inputs]:
            parts[value] = "input's share of the gates"
        names = {"FULLY_CONNECTED": "state's share of the gates", "MUL": "products"}
        for inner in body.ops:
            for value in inner.outputs:
                parts[value] = names.get(inner.kind, "sigmoid and tanh")
            if inner.kind in ("LOGISTIC", "TANH"):
                parts[inner.inputs[0]] = "sums before sigmoid and tanh"
        for state, end in zip(body.states, op.outputs[1:], strict=True):
            for value in (state.before, state.after, end):
                parts[value] = f"state {state.before.name}"
        parts[op.outputs[0]] = parts[body.outputs[0]]
    return parts


RANGES: dict[str, Callable[[Float], tuple[float, float]]] = {
    "largest seen": lambda x: (float(x.min()), float(x.max())),
    "99.9 % of what is seen": lambda x: (float(np.quantile(x, 0.0005)), float(np.quantile(x, 0.9995))),
    "99 % of what is seen": lambda x: (float(np.quantile(x, 0.005)), float(np.quantile(x, 0.995))),
}


def measure(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    parts = Parts(folder)
    every = set(parts.names)
    rows = [parts.row("all", every)]
    rows += [parts.row(f"only {name}", {name}) for name in parts.names]
    rows += [parts.row(f"all but {name}", every - {name}) for name in parts.names]
    inside = {STATE, "products", "sigmoid and tanh", "sums before sigmoid and tanh"}
    rows.append(parts.row("all but what --state-bits 16 widens", every - inside))
    if STATE in every:
        rows += [parts.with_range(each, f"all, {STATE}: {name}") for name, each in RANGES.items()]
    return rows, parts.decided()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    decided = []
    for folder in arguments.runs:
        measured, margins = measure(folder)
        rows += measured
        decided.append(margins)
    if arguments.output:
        arguments.output.write_text(
            to_json({"machine": Machine.read().as_dict(), "rows": rows, "decided": decided})
        )


if __name__ == "__main__":
    main()
