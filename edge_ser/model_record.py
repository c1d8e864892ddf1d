"""Checks edge_ser.json, the record in a model file: every field there, of its type and in its range.

docs/formats.md lists the fields. What only describes the model (training, evaluation, texts) may be of any
shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from edge_ser.errors import ModelError

SCHEMA = 1
MAX_LABELS = 64
MAX_FRAMES = 1 << 16
MAX_FEATURES = 1 << 10
MAX_WARPS, MAX_WARP = 8, 0.3
WARPS = f"at most {MAX_WARPS} different numbers in -{MAX_WARP}..{MAX_WARP}, none of them 0"


def parse_record(text: bytes, name: str) -> dict[str, Any]:
    """The record as a dictionary, checked; ModelError names the field and what is wrong with it."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name}: edge_ser.json is no JSON ({error}); convert the model again") from None
    if not isinstance(record, dict):
        raise ModelError(f"{name}: edge_ser.json is no object; convert the model again")
    if record.get("schema") != SCHEMA:
        version = repr(record.get("schema"))[:40]
        raise ModelError(
            f"{name}: written in schema {version}, this edge_ser reads {SCHEMA}; update edge_ser"
        )
    fields = _Fields(record, name)
    fields.text("name")
    for field in ("description", "intended_use", "limits", "license"):
        fields.optional(field, lambda value: isinstance(value, str), "a text")
    for field in ("training", "evaluation", "tools"):
        fields.optional(field, lambda value: isinstance(value, dict), "an object")
    fields.optional("speech_only", lambda value: isinstance(value, bool), "true or false")
    _check_labels(fields)
    fields.one_of("form", "window", "step")
    fields.object("frontend")
    _check_input(fields.object("input"))
    window = fields.object("window")
    window.number("length_s", 0.05, 60)
    window.number("hop_s", 0.01, window.record["length_s"])
    window.one_of("pad", "audio")
    if "lead_s" in window.record:
        window.number("lead_s", 0, window.record["length_s"])
    if "repeat_to_s" in window.record:
        window.number("repeat_to_s", 0, window.record["length_s"])
    output = fields.object("output")
    output.one_of("kind", "logits")
    _check_quantisation(output)
    calibration = fields.object("calibration")
    calibration.number("temperature", 0.01, 100)
    calibration.number("abstain_below", 0, 1)
    if "short" in calibration.record:
        short = calibration.object("short")
        short.number("full_s", 0.01, 60)
        short.number("exponent", 0, 4)
    _check_graph(fields.object("graph"))
    _check_states(fields)
    if "warps" in record:
        _check_warps(fields)
    if "golden" in record:
        golden = fields.object("golden")
        for field in ("audio", "features", "scores"):
            golden.text(field)
    return record


class _Fields:
    """One object of the record and where it lies, for errors."""

    def __init__(self, record: dict[str, Any], name: str, prefix: str = "") -> None:
        self.record, self._name, self._prefix = record, name, prefix

    def check(self, field: str, good: Callable[[Any], bool], wanted: str) -> Any:
        value = self.record.get(field)
        if field not in self.record:
            self._fail(field, f"is missing, it should be {wanted}")
        if not good(value):
            self._fail(field, f"is {repr(value)[:60]}, it should be {wanted}")
        return value

    def _fail(self, field: str, what: str) -> None:
        raise ModelError(
            f"{self._name}: edge_ser.json: {self._prefix}{field} {what}; convert the model again"
        )

    def optional(self, field: str, good: Callable[[Any], bool], wanted: str) -> None:
        if field in self.record:
            self.check(field, good, wanted)

    def text(self, field: str) -> None:
        self.check(field, lambda value: isinstance(value, str) and 0 < len(value) <= 200, "a text")

    def one_of(self, field: str, *choices: str) -> None:
        self.check(field, lambda value: isinstance(value, str) and value in choices, " or ".join(choices))

    def number(self, field: str, low: float, high: float) -> None:
        self.check(
            field, lambda value: _is_number(value) and low <= value <= high, f"a number in {low}..{high}"
        )

    def integer(self, field: str, low: int, high: int) -> None:
        self.check(
            field, lambda value: _is_integer(value) and low <= value <= high, f"an integer in {low}..{high}"
        )

    def item(self, field: str, place: int) -> _Fields:
        value = self.record[field][place]
        if not isinstance(value, dict):
            self._fail(f"{field}[{place}]", "should be an object")
        return _Fields(value, self._name, f"{self._prefix}{field}[{place}].")

    def object(self, field: str) -> _Fields:
        value = self.check(field, lambda value: isinstance(value, dict), "an object")
        return _Fields(value, self._name, f"{self._prefix}{field}.")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and isfinite(value))


def _check_labels(fields: _Fields) -> None:
    def good(labels: Any) -> bool:
        return (
            isinstance(labels, list)
            and 2 <= len(labels) <= MAX_LABELS
            and all(
                isinstance(label, str) and label.isprintable() and 0 < len(label) <= 40 for label in labels
            )
            and len(set(labels)) == len(labels)
        )

    fields.check("labels", good, f"2 to {MAX_LABELS} different names")


def _check_input(fields: _Fields) -> None:
    fields.integer("frames", 1, MAX_FRAMES)
    fields.integer("features", 1, MAX_FEATURES)
    n = fields.record["features"]

    def good(values: Any, low: float) -> bool:
        return (
            isinstance(values, list)
            and len(values) == n
            and all(_is_number(value) and low < value < 1e9 for value in values)
        )

    fields.check("mean", lambda values: good(values, -1e9), f"{n} numbers")
    fields.check("std", lambda values: good(values, 1e-9), f"{n} positive numbers")
    _check_quantisation(fields)


def _check_quantisation(fields: _Fields) -> None:
    fields.number("scale", 1e-9, 1e9)
    fields.integer("zero_point", -128, 127)


def _check_graph(fields: _Fields) -> None:
    fields.integer("bytes", 8, 1 << 30)
    fields.text("sha256")
    fields.check("ops", lambda ops: isinstance(ops, list) and all(isinstance(op, str) for op in ops), "names")


def _check_states(fields: _Fields) -> None:
    states = fields.record.setdefault("state", [])
    stateful = fields.record["form"] == "step"

    def good(value: Any) -> bool:
        return isinstance(value, list) and len(value) <= 64 and (stateful or not value)

    fields.check("state", good, "a list, and empty in the form window")
    for place in range(len(states)):
        state = fields.item("state", place)
        state.integer("input", 1, 64)
        state.integer("output", 1, 64)
        state.check(
            "shape", lambda shape: isinstance(shape, list) and all(map(_is_integer, shape)), "a shape"
        )


def are_warps(values: Any) -> bool:
    """Whether these can be the log factors by which a window's frequency axis is stretched: WARPS says it."""
    return (
        isinstance(values, list)
        and len(values) <= MAX_WARPS
        and all(_is_number(value) and 0 < abs(value) <= MAX_WARP for value in values)
        and len(set(values)) == len(values)
    )


def _check_warps(fields: _Fields) -> None:
    fields.check("warps", are_warps, WARPS)
    if fields.record["form"] == "step":
        fields.check("warps", lambda warps: not warps, "an empty list in the form step")
