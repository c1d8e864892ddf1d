"""What packing the stem (convert/stem.py) saves of a network's time: each recipe's graph before and after.

    python -m benchmarks.stem [RECIPE…]

The weights are random, which int8 kernels do not notice. Both graphs run in turn, on LiteRT (XNNPACK) and by
TFLite's own kernels, which tflite-runtime has; the shortest and the median time of one invocation, on one
thread.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from train.backend import configure

configure()

from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: E402

from convert.calibration import best_range  # noqa: E402
from convert.compiler import LOOPS_FROM  # noqa: E402
from convert.graphs import build_graph  # noqa: E402
from convert.lower import Lowering  # noqa: E402
from convert.observe import observe  # noqa: E402
from convert.stem import pack_stem  # noqa: E402
from convert.tables import table  # noqa: E402
from train.models import Shape, architecture, build_model  # noqa: E402
from train.recipe import build_options, frontend_options, load_recipe  # noqa: E402

RECIPES = ("emodb-cnn", "multi-cnn", "emodb-conv-gru", "multi-gru")
KERNELS = {"XNNPACK": OpResolverType.AUTO, "TFLite": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
HEADER = (
    "recipe",
    "kernels",
    "graph, bytes",
    "packed",
    "µs, least",
    "packed",
    "µs, median",
    "packed",
    "ratio",
)
SECONDS, AT_ONCE, SEQUENCES = 2.0, 10, 8


def graphs(name: str) -> tuple[bytes, bytes]:
    """The flatbuffer of the recipe's network as its layers are, and packed."""
    recipe = load_recipe(name)
    options = frontend_options(recipe)
    module = architecture(recipe.model.architecture)
    step = module.FORM == "step"
    frames = round(recipe.input.length_s * 1000 / options.hop_ms) if not step else None
    heads = dict.fromkeys(recipe.model.heads, len(recipe.data.labels))
    model = build_model(recipe.model, Shape(frames, options.n_mfcc, len(recipe.data.labels), heads))
    if frames is None:
        frames = build_options(module.Options, recipe.model.options, name).chunk_frames
    graph = build_graph(model, frames, step)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((SEQUENCES, 4 * frames if step else frames, options.n_mfcc))
    observe(graph, features.astype(np.float32))
    graph.inputs[0].low, graph.inputs[0].high = best_range(features.astype(np.float32))
    before = Lowering(graph, LOOPS_FROM).run()
    pack_stem(graph)
    return before, Lowering(graph, LOOPS_FROM).run()


def times(pair: tuple[bytes, bytes], kernels: Any) -> list[np.ndarray]:
    """Microseconds of single invocations of each graph, taken in turn."""
    interpreters = []
    for graph in pair:
        interpreter = Interpreter(model_content=graph, num_threads=1, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        rng = np.random.default_rng(1)
        for entry in interpreter.get_input_details():
            codes = rng.integers(-128, 128, entry["shape"]).astype(entry["dtype"])
            interpreter.set_tensor(entry["index"], codes)
        interpreters.append(interpreter)
    taken: list[list[float]] = [[], []]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for interpreter, results in zip(interpreters, taken, strict=True):
            for _ in range(AT_ONCE):
                start = time.perf_counter()
                interpreter.invoke()
                results.append(time.perf_counter() - start)
    return [1e6 * np.array(results[AT_ONCE:]) for results in taken]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=RECIPES, metavar="RECIPE")
    rows = []
    for name in parser.parse_args().recipes:
        pair = graphs(name)
        for kernels, resolver in KERNELS.items():
            before, after = times(pair, resolver)
            least, median = ([f"{of(each):.1f}" for each in (before, after)] for of in (np.min, np.median))
            ratio = f"{np.median(after) / np.median(before):.2f}"
            rows.append((name, kernels, *map(str, map(len, pair)), *least, *median, ratio))
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
