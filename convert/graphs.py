"""A functional Keras model to the float graph of convert/ir.py.

In window form the time axis is the whole window; in step form it is one chunk of K frames, and what a layer
needs of the past becomes a state: a recurrent layer's own, and a ring of the last frames where the model pads
the front of the time axis with zeros (a causal convolution). Layers that look ahead, or that mix all frames
other than by a mean just before linear layers, have no step form and are refused by name.
"""

from __future__ import annotations

from typing import Any

from convert.convolutions import HANDLERS as CONVOLUTIONS
from convert.fold import fold
from convert.ir import Graph, Value
from convert.layers import HANDLERS, Walk
from convert.recurrent import Precision
from edge_ser.errors import ModelError


def build_graph(
    model: Any,
    frames: int,
    step: bool,
    head: str = "emotion",
    precision: Precision | None = None,
    classes: int | None = None,
) -> Graph:
    """The graph of ``model`` over ``frames`` frames: a whole window, or one chunk if ``step``.

    Of several outputs, the one named ``head`` is kept, and of that the first ``classes`` (a class "silence",
    which training may add behind the labels, is left out). Raises ModelError naming the layer that cannot be
    converted.
    """
    walk = Walk(step, precision or Precision(), {**HANDLERS, **CONVOLUTIONS})
    features = walk.graph.input((1, frames, int(model.inputs[0].shape[-1])), "features")
    outputs = model._run_through_graph([features], operation_fn=lambda layer: walk.handler(layer))
    output = outputs[head] if isinstance(outputs, dict) else outputs
    if not isinstance(output, Value):
        raise ModelError(f"the model has several outputs and none is named {head!r}")
    if classes is not None and output.shape[1] < classes:
        raise ModelError(
            f"the model has {output.shape[1]} outputs for {classes} labels; train the recipe again"
        )
    if classes is not None and output.shape[1] > classes:
        output = walk.graph.op("SLICE", [output], (1, classes), begin=[0, 0], size=[1, classes])
    walk.graph.outputs = [output]
    drop_unused(walk.graph)
    fold(walk.graph)
    return walk.graph


def drop_unused(graph: Graph) -> None:
    """Removes operations that no output and no state needs (further heads, masks)."""
    needed = {*graph.outputs, *(state.after for state in graph.states)}
    for op in reversed(list(graph.ops)):
        if any(value in needed for value in op.outputs):
            needed.update(op.inputs)
        else:
            graph.ops.remove(op)
