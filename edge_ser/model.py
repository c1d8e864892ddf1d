"""The model file: a .tflite graph with a zip archive behind it that says all there is to know
(docs/formats.md).

Everything is verified before the graph may go to an interpreter, because some interpreters die on damaged
bytes: sizes, archive, record, digest, the graph itself (edge_ser.graph), and that record, front end and graph
agree.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.digest import sha256_hex
from edge_ser.errors import ConfigError, ModelError
from edge_ser.frontend import Frontend, FrontendOptions
from edge_ser.graph import Graph, Tensor, read_graph
from edge_ser.model_record import parse_record
from edge_ser.short import Shortness

if TYPE_CHECKING:
    from edge_ser.self_test import SelfTest

DEFAULT_MODEL = "multi-cnn"
MODELS = Path(__file__).parent / "models"
MAX_FILE_BYTES = 64 << 20
MAX_MEMBER_BYTES = 4 << 20
MAX_MEMBERS = 64
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Model:
    """A verified model. Make one with ``Model.load``; nothing in it changes afterwards.

    ``graph`` is the flatbuffer for an interpreter. Features x become the graph's int8 input by
    ``clip(rint(x * input_scale + input_offset), -128, 127)``, which the front end does while it writes.
    ``warps`` are log factors by which the frequency axis of a window is stretched for further runs of the
    graph, whose logits are averaged with those of the plain one. ``lead_s``: a recording is heard from so
    long before its first sound (0: from its start). What is shorter than ``repeat_to_s`` is heard again from
    its start: by a step model until it has had ``repeat_chunks``, by a model for a window until that is full,
    if it breaks off. ``shortness``: what logits are worth when little speech was heard.
    """

    def __init__(self, data: bytes, name: str) -> None:
        """Verify the bytes of a model file; ``name`` is what errors call it."""
        self.source = name
        self._members, graph_bytes = _read_archive(data, name)
        self.record: dict[str, Any] = parse_record(self._members["edge_ser.json"], name)
        self.graph = _check_digest(data[:graph_bytes], self.record["graph"], name)
        self.name: str = self.record["name"]
        self.labels: list[str] = self.record["labels"]
        self.form: str = self.record["form"]
        self.frames: int = self.record["input"]["frames"]
        self.length_s: float = float(self.record["window"]["length_s"])
        self.hop_s: float = float(self.record["window"]["hop_s"])
        self.lead_s: float = float(self.record["window"].get("lead_s", 0))
        self.temperature: float = float(self.record["calibration"]["temperature"])
        self.speech_only: bool = self.record.get("speech_only", True)
        self.abstain_below: float = float(self.record["calibration"]["abstain_below"])
        self.shortness = Shortness.of(self.record["calibration"].get("short"))
        self.warps: list[float] = [float(each) for each in self.record.get("warps", [])]
        try:
            self.frontend = FrontendOptions.from_dict(self.record["frontend"])
        except ConfigError as error:
            raise ModelError(f"{name}: edge_ser.json: {error}; convert the model again") from None
        chunk_s = self.frames * self.frontend.hop_length / self.rate_hz
        self.repeat_to_s: float = float(self.record["window"].get("repeat_to_s", 0))
        self.repeat_chunks = round(self.repeat_to_s / chunk_s) if self.form == "step" else 0
        self._check_frontend()
        graph = read_graph(self.graph, name)
        self._check_graph(graph)
        # Input and output of the graph, and the tensor itself, of each state.
        self.states: list[tuple[int, int, Tensor]] = [
            (state["input"], state["output"], graph.inputs[state["input"]]) for state in self.record["state"]
        ]

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None) -> Model:
        """Read a model by path, by the name of a shipped one, or the default one; ModelError when it is not
        right.
        """
        path = find_model(model)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None
        return cls(data, str(path))

    @property
    def rate_hz(self) -> int:
        """Sample rate that the front end wants."""
        return self.frontend.rate_hz

    @property
    def window_samples(self) -> int:
        """Samples in a window of ``length_s``."""
        return round(self.length_s * self.rate_hz)

    @property
    def n_features(self) -> int:
        """Features in a frame."""
        return int(self.record["input"]["features"])

    @property
    def card(self) -> str:
        """The model card, Markdown; empty when the file has none."""
        return self._members.get("card.md", b"").decode(errors="replace")

    @cached_property
    def input_scale(self) -> NDArray[np.float32]:
        """One over (standard deviation times quantisation step), float32 [features]."""
        given = self.record["input"]
        return np.asarray(1.0 / (np.asarray(given["std"], np.float64) * given["scale"]), np.float32)

    @cached_property
    def input_offset(self) -> NDArray[np.float32]:
        """Zero point minus mean times ``input_scale``, float32 [features]."""
        given = self.record["input"]
        shift = np.asarray(given["mean"], np.float64) / (
            np.asarray(given["std"], np.float64) * given["scale"]
        )
        return np.asarray(given["zero_point"] - shift, np.float32)

    def zero_states(self) -> list[NDArray[Any]]:
        """The states at the beginning of a recording: real zero, which quantises to the zero point."""
        return [np.full(tensor.shape, tensor.zero_point[0], tensor.dtype) for _, _, tensor in self.states]

    def golden(self) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.int8]] | None:
        """Audio int16 [samples], features int8 [runs, frames, features], outputs int8 [runs, classes]; or
        None.
        """
        if "golden" not in self.record:
            return None
        try:
            audio, features, scores = (
                self._members[self.record["golden"][part]] for part in ("audio", "features", "scores")
            )
            return (
                np.frombuffer(audio, "<i2"),
                np.frombuffer(features, np.int8).reshape(-1, self.frames, self.n_features),
                np.frombuffer(scores, np.int8).reshape(-1, len(self.labels)),
            )
        except (KeyError, ValueError) as error:
            raise self._wrong(f"the golden vector is incomplete ({error})") from None

    def self_test(self, runtime: str | None = None) -> SelfTest:
        """Run the golden vector through front end and interpreter here; see edge_ser.self_test."""
        from edge_ser.self_test import self_test

        return self_test(self, runtime)

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"{self.source}: {what}; convert the model again")

    def _check_frontend(self) -> None:
        frontend = Frontend(self.frontend)
        if frontend.n_features != self.n_features:
            raise self._wrong(
                f"the front end gives {frontend.n_features} features, input.features {self.n_features}"
            )
        if self.form == "window" and frontend.n_frames(self.window_samples) != self.frames:
            frames = frontend.n_frames(self.window_samples)
            raise self._wrong(f"{self.length_s} s give {frames} frames, input.frames is {self.frames}")
        if self.form == "step" and self.frontend.normalize == "utterance":
            raise self._wrong(
                "the form step cannot wait for an utterance to end, but frontend.normalize does"
            )

        if self.warps:
            from edge_ser.warp import misfit

            reason = misfit(self.frontend)
            if reason:
                raise self._wrong(reason)

    def _check_graph(self, graph: Graph) -> None:
        states = self.record["state"]
        if len(graph.inputs) != 1 + len(states) or len(graph.outputs) != 1 + len(states):
            raise self._wrong(
                f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs, {len(states)} states"
            )
        shape = (1, self.frames, self.n_features)
        self._check_end("input 0", graph.inputs[0], (shape, (*shape, 1)), self.record["input"])
        self._check_end("output 0", graph.outputs[0], ((1, len(self.labels)),), self.record["output"])
        for place, state in enumerate(states):
            given, made = state["input"], state["output"]
            if not (given <= len(states) and made <= len(states)):
                raise self._wrong(f"state {place} names an input or output that is not there")
            before, after = graph.inputs[given], graph.outputs[made]
            if before != after or before.shape != tuple(state["shape"]):
                raise self._wrong(f"state {place} goes in as {before[:4]} and comes out as {after[:4]}")
        if sorted({state["input"] for state in states}) != list(range(1, len(states) + 1)):
            raise self._wrong("two states share an input")
        if set(self.record["graph"]["ops"]) != set(graph.ops):
            raise self._wrong(f"graph.ops lists {self.record['graph']['ops']}, the graph uses {graph.ops}")

    def _check_end(
        self, end: str, tensor: Tensor, shapes: tuple[tuple[int, ...], ...], record: dict[str, Any]
    ) -> None:
        if tensor.dtype != "int8" or tensor.shape not in shapes:
            raise self._wrong(
                f"{end} of the graph is {tensor.dtype} {tensor.shape}, it should be int8 {shapes[0]}"
            )
        close = abs(tensor.scale[0] - record["scale"]) <= 1e-6 * record["scale"]
        if not close or tensor.zero_point[0] != record["zero_point"]:
            raise self._wrong(
                f"{end} of the graph has scale {tensor.scale[0]:.6g} and zero point {tensor.zero_point[0]}, "
                f"edge_ser.json {record['scale']:.6g} and {record['zero_point']}"
            )


def shipped_models() -> list[str]:
    """The names of the models that are installed with the package, the default one first."""
    names = sorted(path.stem for path in MODELS.glob("*.tflite"))
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The file of a model given by path, by the name of a shipped one, or not at all (DEFAULT_MODEL)."""
    wanted = os.fspath(model) if model is not None else DEFAULT_MODEL
    if "/" not in wanted and not wanted.endswith(".tflite"):
        shipped = MODELS / f"{wanted}.tflite"
        if not shipped.is_file():
            names = ", ".join(shipped_models()) or "none"
            raise ModelError(
                f"{wanted}: no such model is installed ({names}); give one of these or the path of a file"
            )
        return shipped
    return Path(wanted)


def _read_archive(data: bytes, name: str) -> tuple[dict[str, bytes], int]:
    """The members of the zip archive, within limits and their checksums proved, and where it begins."""
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MiB; this is no model of edge_ser")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(names) != len(entries) or len(entries) > MAX_MEMBERS or "edge_ser.json" not in names:
                raise zipfile.BadZipFile("no edge_ser.json in its archive, or too many members")
            for entry in entries:
                if entry.file_size > MAX_MEMBER_BYTES or entry.compress_type not in COMPRESSIONS:
                    raise zipfile.BadZipFile("an oversized or oddly packed member in its archive")
            return {entry.filename: archive.read(entry) for entry in entries}, min(
                e.header_offset for e in entries
            )
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
    ) as error:
        raise ModelError(
            f"{name}: not a model of edge_ser, or damaged ({str(error)[:100]}); "
            "copy or download it again, or convert one with python -m convert"
        ) from None


def _check_digest(graph: bytes, record: dict[str, Any], name: str) -> bytes:
    """The graph, if it is what the record says."""
    if len(graph) != record["bytes"] or sha256_hex(graph) != record["sha256"]:
        raise ModelError(
            f"{name}: the graph is damaged (its size or sha256 differs); copy or download the file again"
        )
    return graph
