"""docs/images/models.svg: accuracy against size, ours beside others."""

from __future__ import annotations

from benchmarks.models_figures import HOME, NAMES, PROTOCOLS, Record, corpus_of, size_kb

PLOT = HOME / "docs" / "images" / "models.svg"


def plot(figures: dict[str, dict[str, Record]], anchors: list[Record]) -> None:
    """Accuracy against size, a panel for each corpus and protocol: ours filled, others hollow, those
    without a size as lines. The same figures give the same bytes.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ser"
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["font.size"] = 8
    from matplotlib import pyplot as plt

    panels = [(corpus, protocol) for corpus in NAMES for protocol in ("apart", "mixed")]
    drawn, axes = plt.subplots(len(NAMES), 2, figsize=(11, 9), sharex=True)
    for axis, (corpus, protocol) in zip(axes.flat, panels, strict=True):
        axis.set_title(f"{NAMES[corpus]}, {PROTOCOLS[protocol]}")
        axis.set_xscale("log")
        axis.set_xlim(10, 2e6)
        axis.set_ylim(0.5, 1.0)
        axis.grid(alpha=0.3)
        axis.set_ylabel("UAR (or WA, where it says so)")
        for name, by_protocol in figures.items():
            if corpus_of(by_protocol) != corpus or protocol not in by_protocol:
                continue
            evaluation = by_protocol[protocol]
            entry, kb = evaluation["uar"], size_kb(name, evaluation)
            low, high = entry["interval"]
            bars = [[max(entry["int8"] - low, 0.0)], [max(high - entry["int8"], 0.0)]]
            axis.errorbar([kb], [entry["int8"]], yerr=bars, fmt="o", color="tab:red", capsize=2)
            axis.annotate(name, (kb, entry["int8"]), (5, 4), textcoords="offset points", color="tab:red")
        for each in anchors:
            entry = each.get(protocol) if each["corpus"] == corpus else None
            if each["corpus"] == corpus and protocol == "mixed" and "own" in each:
                entry = each["own"]
            if not entry:
                continue
            figure = entry.get("uar", entry.get("wa"))
            text = each["system"] + ("" if "uar" in entry else " (WA)")
            text += ", its own splits" if "own" in each else ""
            if "size_kb" in each:
                axis.plot([each["size_kb"]], [figure], "o", mfc="none", color="black")
                right = each["size_kb"] > 1e4
                axis.annotate(
                    text,
                    (each["size_kb"], figure),
                    (-5 if right else 5, each.get("text_above", -9)),
                    textcoords="offset points",
                    ha="right" if right else "left",
                )
            else:
                axis.axhline(figure, ls=":", color="gray")
                axis.annotate(
                    text, (1.9e6, figure), (0, 2), textcoords="offset points", ha="right", color="gray"
                )
    for axis in axes[-1]:
        axis.set_xlabel("size, KB")
    drawn.tight_layout()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(PLOT, metadata={"Date": None})
    plt.close(drawn)
