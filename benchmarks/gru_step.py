"""The GRU of the recipe emodb-gru as a step in int8, with drawn weights: `gru_step.py`. Needs tensorflow.

Writes benchmarks/gru-drawn.tflite, whose cost arm_instructions.py counts while no recurrent model is
shipped: what a step costs does not depend on what the weights know.
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import numpy as np  # noqa: E402

from convert.compiler import Options, compile_model  # noqa: E402
from convert.golden import golden_audio, golden_features  # noqa: E402
from convert.interpret import run_graph  # noqa: E402
from convert.modelfile import Golden, pack  # noqa: E402
from convert.record import STEP_LENGTH_S  # noqa: E402
from edge_ser.frontend import Frontend  # noqa: E402
from train.models import Shape, build_model  # noqa: E402
from train.recipe import frontend_options, load_recipe  # noqa: E402

OUTPUT = Path(__file__).with_name("gru-drawn.tflite")
STD = 20.0  # about that of a cepstrum


def main() -> None:
    recipe = load_recipe("emodb-gru")
    options, labels = frontend_options(recipe), recipe.data.labels
    features = Frontend(options).n_features
    frames = recipe.model.options["chunk_frames"]
    model = build_model(recipe.model, Shape(None, features, len(labels)))
    drawn = np.random.default_rng(0).standard_normal((16, 25 * frames, features)).astype(np.float32)
    compiled = compile_model(model, drawn, Options(frames, True, len(labels)))
    record = {
        "name": OUTPUT.stem,
        "description": "The recipe emodb-gru with drawn weights: for counting what a step costs.",
        "license": "CC0-1.0",
        "labels": labels,
        "form": "step",
        "frontend": options.as_dict(),
        "input": {
            "frames": frames,
            "features": features,
            "mean": [0.0] * features,
            "std": [STD] * features,
            "scale": compiled.input.scale,
            "zero_point": compiled.input.zero_point,
        },
        "window": {
            "length_s": STEP_LENGTH_S,
            "hop_s": frames * options.hop_ms / 1000,
            "pad": "audio",
        },
        "state": compiled.states,
        "output": {
            "kind": "logits",
            "scale": compiled.output.scale,
            "zero_point": compiled.output.zero_point,
        },
        "calibration": {"temperature": 1.0, "abstain_below": 0.0},
        "training": {"corpora": [], "recipe": "emodb-gru", "seed": 0},
        "evaluation": {"protocol": "none"},
        "graph": {"ops": compiled.ops},
    }
    step = np.full(features, STD * compiled.input.scale)
    codes = golden_features(options, (1 / step, np.full(features, compiled.input.zero_point)), 0)
    codes = codes[: len(codes) // frames * frames]
    golden = Golden(golden_audio(options.rate_hz), codes, run_graph(compiled.flatbuffer, [codes])[0])
    OUTPUT.write_bytes(pack(compiled.flatbuffer, record, "# Not trained\n", golden))
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes, {model.count_params()} parameters")


if __name__ == "__main__":
    main()
