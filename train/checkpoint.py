"""The state of a fit after an epoch: enough to go on as if it had never stopped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from train.atomic import write_bytes


def _variables(model: Any) -> list[Any]:
    """Weights, batch statistics, seeds of dropout, moments and averages of the optimiser, in the order of
    creation.
    """
    return [*model.variables, *model.optimizer.variables]


def save_checkpoint(path: Path, model: Any, epoch: int) -> None:
    """Write the state after ``epoch`` epochs, replacing the one before in one step."""
    import keras

    arrays = {f"v{i}": keras.ops.convert_to_numpy(each) for i, each in enumerate(_variables(model))}
    buffer = io.BytesIO()
    np.savez(buffer, epoch=np.int64(epoch), **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, model: Any) -> int:
    """Put the saved state into a model built the same way and return the number of epochs it has seen."""
    with np.load(path, allow_pickle=False) as saved:
        for index, variable in enumerate(_variables(model)):
            variable.assign(saved[f"v{index}"])
        return int(saved["epoch"])
