"""A picture of the probabilities over time, a panel a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_ser.errors import ConfigError
from edge_ser.prediction import Prediction

MAX_PANELS = 24


def plot(predictions: Sequence[tuple[str, Prediction]], path: Path) -> None:
    """Draw the segments of each recording and save the picture; ConfigError when it cannot be made."""
    if len(predictions) > MAX_PANELS:
        raise ConfigError(
            f"--plot draws up to {MAX_PANELS} recordings, not {len(predictions)}; plot fewer at a time"
        )
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("--plot needs matplotlib; pip install 'edge-ser[plot]'") from None
    n = len(predictions)
    figure = Figure(figsize=(9, 0.8 + 2.2 * n), layout="constrained")
    for axes, (name, prediction) in zip(figure.subplots(n, 1, squeeze=False)[:, 0], predictions, strict=True):
        heard = [segment for segment in prediction.segments if segment.scores]
        for place, label in enumerate(heard[0].scores if heard else ()):
            middles = [(segment.start_s + segment.end_s) / 2 for segment in heard]
            shares = [segment.scores[label] for segment in heard]
            axes.plot(middles, shares, ".-", color=f"C{place}", label=label)
        axes.set(xlim=(0, prediction.duration_s), ylim=(0, 1), ylabel="probability")
        axes.set_title(
            f"{name}: {prediction.label} {prediction.probability:.0%}", fontsize="medium", loc="left"
        )
        if heard:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    axes.set_xlabel("seconds")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: the picture cannot be written ({error}); check folder and suffix"
        ) from None
