"""The report's figures, each drawn by matplotlib into a Figure of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.report.subject import Subject

INK, MUTED, GRID = "#1d2733", "#6b7785", "#e3e8ee"
BLUE, ORANGE, GREEN, GREY = "#2563a8", "#d9722b", "#3b8f6a", "#9aa5b1"


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.set_axisbelow(True)
    return figure, axes


def comparison(subjects: Sequence[Subject]) -> Figure:
    """UAR of every subject with its 95 % interval over speakers; hollow marks are speaker-dependent."""
    figure, axes = _axes(8.6, 0.6 + 0.42 * len(subjects))
    for row, subject in enumerate(reversed(subjects)):
        value = subject.metrics["uar"]
        low, high = subject.metrics["uar_interval"]
        colour = ORANGE if subject.dependent else BLUE
        axes.plot([low, high], [row, row], color=colour, linewidth=2.5, alpha=0.45, solid_capstyle="round")
        axes.plot(
            value,
            row,
            "o",
            color=colour,
            markersize=9,
            markerfacecolor="white" if subject.dependent else colour,
        )
        axes.annotate(
            f"{value:.3f}",
            (value, row),
            (0, 8),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
        )
    axes.set_yticks(range(len(subjects)), [subject.folder.name for subject in reversed(subjects)], color=INK)
    axes.set_ylim(-0.6, len(subjects) - 0.3)
    axes.set_xlim(0, 1)
    axes.grid(axis="x", color=GRID)
    axes.set_xlabel("UAR, 95 % interval over speakers", color=MUTED, fontsize=9)
    return figure


def learning_curves(subject: Subject) -> Figure:
    """Training loss and held-out UAR by epoch: each run thin, their mean thick."""
    figure, axes = _axes(5.0, 3.1)
    epochs_of: dict[str, Any] = {}
    for column, colour, label in (("loss", GREY, "training loss"), ("held_out_uar", BLUE, "held-out UAR")):
        curves = subject.curves(column)
        if not curves.size:
            continue
        epochs = epochs_of[column] = np.arange(1, curves.shape[1] + 1)
        for curve in curves if len(curves) > 1 else []:
            axes.plot(epochs, curve, color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(epochs, curves.mean(axis=0), color=colour, linewidth=2.2, label=label)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)
    axes.set_xlabel("epoch (the last one is the result)", color=MUTED, fontsize=9)
    if epochs_of:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def confusion_matrix(subject: Subject) -> Figure:
    """Rows are true classes; colour is the share of the row, the number is the count."""
    counts = np.array(subject.metrics["confusion"], dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure, axes = _axes(5.0, 1.2 + 0.42 * len(counts))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            colour = "white" if share > 0.55 else INK
            text = f"{counts[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    ticks = range(len(counts))
    axes.set_xticks(ticks, subject.labels, rotation=45, ha="right", color=INK)
    axes.set_yticks(
        ticks, [f"{label}  {shares[i, i]:.0%}" for i, label in enumerate(subject.labels)], color=INK
    )
    axes.set_xlabel("said", color=MUTED, fontsize=9)
    axes.set_ylabel("true, with its recall", color=MUTED, fontsize=9)
    return figure


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of ``n`` (Wilson, J. American Statistical Association 1927)."""
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def speakers(subject: Subject) -> Figure:
    """Accuracy for each speaker with its 95 % interval over utterances, worst first; the line is the mean."""
    parts = sorted(subject.metrics["per_speaker"].items(), key=lambda each: each[1]["wa"])
    figure, axes = _axes(5.0, max(2.2, 0.6 + 0.24 * len(parts)))
    for row, (_, part) in enumerate(parts):
        low, high = wilson(part["wa"], part["utterances"])
        axes.barh(row, part["wa"], color=BLUE, alpha=0.8, height=0.62)
        axes.plot([low, high], [row, row], color=INK, linewidth=1.1)
    axes.axvline(subject.metrics["wa"], color=ORANGE, linewidth=1.4)
    axes.set_yticks(range(len(parts)), [f"{name}  ({part['utterances']})" for name, part in parts], color=INK)
    axes.tick_params(axis="y", labelsize=8 if len(parts) < 30 else 6)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share right, 95 % interval", color=MUTED, fontsize=9)
    return figure


def reliability(subject: Subject, n_bins: int = 10) -> Figure:
    """Accuracy against confidence: on the diagonal the scores can be believed; area shows how many
    are where.
    """
    confidence = subject.scores.max(axis=1)
    right = subject.scores.argmax(axis=1) == subject.true
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    figure, axes = _axes(5.0, 3.1)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for index in np.unique(bins):
        own = bins == index
        size = 30 + 500 * own.mean()
        axes.scatter(confidence[own].mean(), right[own].mean(), s=size, color=BLUE, alpha=0.75, linewidths=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.04)
    axes.grid(color=GRID)
    axes.set_xlabel("confidence", color=MUTED, fontsize=9)
    axes.set_ylabel("share right", color=MUTED, fontsize=9)
    return figure


def spectrogram(
    log_mel: Any, hop_s: float, importance: Any, attention: Any, duration_s: float, note: str
) -> Figure:
    """Mel bands [frames, bands] over time; above it what each stretch of time meant for the decision.

    ``importance`` [stretches] is how much the score falls without the stretch; ``attention`` [steps] or None.
    """
    figure = Figure(figsize=(3.5, 2.7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 2.6]})
    shown_s = len(log_mel) * hop_s
    edges = np.linspace(0, duration_s, len(importance) + 1)
    colours = [GREEN if value >= 0 else ORANGE for value in importance]
    upper.bar(edges[:-1], importance, np.diff(edges), align="edge", color=colours, alpha=0.85, linewidth=0)
    upper.axhline(0, color=GREY, linewidth=0.8)
    if attention is not None:
        twin = upper.twinx()
        twin.plot(np.linspace(0, duration_s, len(attention)), attention, color=BLUE, linewidth=1.2)
        twin.set_ylim(0)
        twin.set_yticks([])
        twin.set_frame_on(False)
    lower.imshow(
        log_mel.T, origin="lower", aspect="auto", cmap="magma", extent=(0, shown_s, 0, log_mel.shape[1])
    )
    lower.set_xlim(0, max(duration_s, 0.1))
    for axes in (upper, lower):
        axes.set_yticks([])
        axes.tick_params(colors=MUTED, labelsize=8, length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    lower.set_xlabel("s", color=MUTED, fontsize=8)
    upper.set_title(note, loc="left", fontsize=8.5, color=INK)
    return figure
