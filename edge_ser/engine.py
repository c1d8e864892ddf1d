"""One model on one interpreter: samples in, logits out. Knows both forms of model; nothing about files.

Window form: a whole window in one run, and in one more for each warp of its frequency axis (edge_ser.warp).
Step form: chunks of ``model.frames`` frames, a state handed from run to run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ser._native import Int8Writer, LookUp
from edge_ser.frontend import Frontend
from edge_ser.model import Model
from edge_ser.runtime import Runtime
from edge_ser.short import filled, sounding_s

if TYPE_CHECKING:
    from edge_ser.warp import WarpedWriter

Float32 = NDArray[np.float32]


class Engine:
    """Reusable buffers and state: for one thread at a time, any number of recordings after one another."""

    def __init__(self, model: Model, runtime: str | None = None) -> None:
        """Load the model's graph into ``runtime`` (a name of edge_ser.runtime.RUNTIMES, None: the first
        installed).
        """
        self.model = model
        self.runtime = Runtime(model.graph, runtime)
        self._frontend = Frontend(model.frontend)
        output = model.record["output"]
        codes = np.arange(256).astype(np.uint8).view(np.int8)  # code c stands at place c modulo 256
        # When a graph has run, the code of numpy's operations has left the caches: one look-up in C costs
        # less than one of them, and arithmetic would be three.
        logit_of = (codes.astype(np.float32) - output["zero_point"]) * np.float32(output["scale"])
        self._logits = LookUp(self.runtime.output(0)[0], logit_of)
        self._input: NDArray[np.int8] = self.runtime.input(0).reshape(model.frames, model.n_features)
        # The front end quantises straight into the interpreter's memory.
        self._offset = model.input_offset
        self._write = Int8Writer(self._frontend, model.input_scale, self._offset, self._input)
        self._leaning = np.zeros(len(model.labels), np.float32)
        self._silence: NDArray[np.int8] | None = None  # a frame of it, where it differs from adapted sound
        self._warped: WarpedWriter | None = None
        self.runs = 1 + len(model.warps)  # of the graph, for a window
        if model.warps:
            from edge_ser.warp import WarpedWriter

            self._warped = WarpedWriter(model)
            self._silence = self._silent_frame()
        self._padded = np.zeros(model.window_samples, np.float32)
        self._whole = model.window_samples
        self._least = round(model.repeat_to_s * model.rate_hz)
        self._states = model.zero_states()
        self._waiting = np.zeros((0, model.n_features), np.float32)
        self._samples = 0
        self._first = np.zeros((0, model.frames, model.n_features), np.int8)

    def adapt(self, shift: Float32, leaning: Float32 | None = None) -> None:
        """Subtract ``shift`` [features] from every frame of sound from now on, and ``leaning`` [classes] from
        the logits that become probabilities (edge_ser.adaptation).

        The silence that completes a short window is left as it is.
        """
        model = self.model
        if leaning is not None:
            self._leaning = leaning
        self._offset = (model.input_offset - shift * model.input_scale).astype(np.float32)
        self._write = Int8Writer(self._frontend, model.input_scale, self._offset, self._input)
        if self._warped is not None:
            self._warped.shift(shift)
        if self._silence is None:
            self._silence = self._silent_frame()

    def _silent_frame(self) -> NDArray[np.int8]:
        model = self.model
        silence = Frontend(model.frontend).process(np.zeros(model.window_samples, np.float32))[0]
        codes = np.rint(silence * model.input_scale + model.input_offset)
        frame: NDArray[np.int8] = np.clip(codes, -128, 127).astype(np.int8)
        return frame

    def window(self, samples: Float32) -> Float32:
        """Logits [classes] of at most ``model.window_samples`` samples at the model's rate; silence follows
        them, or they themselves again where they are short and break off (edge_ser/short.py). With warps: the
        mean over the window's runs.
        """
        samples = filled(samples, self._whole, self._least, self.model.rate_hz)
        if self._warped is not None:
            return self._mean_of_runs(self._warped, samples)
        self._write(self._window(samples))
        if self._silence is not None:
            self._input[self._first_silent(len(samples)) :] = self._silence
        self.runtime.invoke()
        return self._logits()

    def _mean_of_runs(self, warped: WarpedWriter, samples: Float32) -> Float32:
        features = self._frontend.process(self._window(samples))
        silent = self._first_silent(len(samples))
        total = np.zeros(len(self.model.labels), np.float32)
        for run in range(self.runs):
            warped(run, features, self._input)
            if self._silence is not None:
                self._input[silent:] = self._silence
            self.runtime.invoke()
            total += self._logits()
        total /= np.float32(self.runs)
        return total

    def invoke_runs(self) -> None:
        """Only what the graph does for a window, or for a chunk: for the measurement of its time."""
        for _ in range(self.runs):
            self.runtime.invoke()

    def _first_silent(self, n_samples: int) -> int:
        """The first frame of a window that sees none of its ``n_samples``."""
        options = self.model.frontend
        before = {
            "center": options.window_length // 2,
            "mirror": (options.window_length - options.hop_length) // 2,
        }
        return -(-(n_samples + before.get(options.framing or "", 0)) // options.hop_length)

    def reset(self) -> None:
        """Step form: forget what was pushed; the next samples begin a recording."""
        self._frontend.reset()
        self._states = self.model.zero_states()
        self._waiting = self._waiting[:0]
        self._samples = 0
        self._first = self._first[:0]

    def push(self, samples: Float32) -> Float32:
        """Step form: logits [k, classes] of the k chunks that these samples complete, often none."""
        return self._run(self._chunks(samples))

    def finish(self) -> Float32:
        """Step form: logits [k, classes] of the chunks that the end makes whole; at least one in all, which
        silence completes if it must, and as many as the model wants of a short recording.
        """
        logits = self._run(self._last_chunks())
        logits = np.concatenate([logits, self.again()])
        self.reset()
        return logits

    def again(self) -> Float32:
        """Step form: logits [k, classes] of what was pushed, if it is little, heard again from its start
        until the model has had ``model.repeat_chunks`` in all. The next push goes on as if nobody had asked.
        """
        states = self._states
        logits = self._run(self._repeated())
        self._states = states
        return logits

    def features(self, samples: Float32) -> NDArray[np.int8]:
        """What the graph is given for a whole recording: int8 [runs, frames, features], one run in the window
        form (the one that is not warped).
        """
        model = self.model
        if model.form == "window":
            codes: NDArray[np.int8] = np.zeros((1, model.frames, model.n_features), np.int8)
            self._frontend.process_int8(self._window(samples), model.input_scale, self._offset, codes[0])
            if self._silence is not None:
                codes[0, self._first_silent(len(samples)) :] = self._silence
            return codes
        self.reset()
        codes = np.concatenate([self._chunks(samples), self._last_chunks()])
        codes = np.concatenate([codes, self._repeated()])
        self.reset()
        return codes

    def sounding_s(self, samples: Float32) -> float:
        """Seconds that sound in ``samples``, for :meth:`probabilities`; not counted where all count alike."""
        if not self.model.shortness.exponent:
            return math.inf
        return sounding_s(samples, self.model.rate_hz)

    def probabilities(self, logits: Float32, sounding_s: float = math.inf) -> Float32:
        """Softmax along the last axis of (logits - leaning) / temperature, of which less is left when they
        rest on little speech.
        """
        share = self.model.shortness.share(sounding_s)
        scaled = (logits.astype(np.float64) - self._leaning) * share / self.model.temperature
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        shares: Float32 = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        return shares

    def run(self, codes: NDArray[np.int8]) -> NDArray[np.int8]:
        """Raw outputs int8 [classes] of one run on int8 [model.frames, features]; moves the state on."""
        self._step(codes)
        scores: NDArray[np.int8] = self.runtime.output(0)[0].copy()
        return scores

    def _step(self, codes: NDArray[np.int8]) -> None:
        self._input[...] = codes
        for (place, _, _), state in zip(self.model.states, self._states, strict=True):
            self.runtime.input(place)[...] = state
        self.runtime.invoke()
        self._states = [self.runtime.output(place).copy() for _, place, _ in self.model.states]

    def _run(self, chunks: NDArray[np.int8]) -> Float32:
        logits = np.zeros((len(chunks), len(self.model.labels)), np.float32)
        for chunk, row in zip(chunks, logits, strict=True):
            self._step(chunk)
            row[:] = self._logits()
        return logits

    def _chunks(self, samples: Float32) -> NDArray[np.int8]:
        """Push samples; int8 [k, frames, features] of the chunks that are complete."""
        self._samples += len(samples)
        self._frontend.push(samples)
        return self._quantised_chunks()

    def _last_chunks(self) -> NDArray[np.int8]:
        """The chunks that the end of the recording makes whole.

        An incomplete one is left out, as in training, unless there is no other: then silence follows it.
        """
        short = self._frontend.n_frames(self._samples) < self.model.frames
        if short:
            options = self.model.frontend
            missing = self.model.frames * options.hop_length + options.window_length
            self._frontend.push(np.zeros(missing, np.float32))
        self._frontend.finish()
        chunks = self._quantised_chunks()
        if short:
            chunks = self._first = chunks[:1]
        return chunks

    def _repeated(self) -> NDArray[np.int8]:
        heard = len(self._first)
        missing = self.model.repeat_chunks - heard if heard else 0
        repeated: NDArray[np.int8] = self._first[np.arange(max(missing, 0)) % max(heard, 1)]
        return repeated

    def _quantised_chunks(self) -> NDArray[np.int8]:
        features = np.concatenate([self._waiting, self._frontend.pull()])
        n, model = self.model.frames, self.model
        whole = len(features) - len(features) % n
        self._waiting = features[whole:]
        codes = np.rint(features[:whole] * model.input_scale + self._offset)
        chunks: NDArray[np.int8] = np.clip(codes, -128, 127).astype(np.int8).reshape(-1, n, model.n_features)
        if len(self._first) < model.repeat_chunks:
            self._first = np.concatenate([self._first, chunks])[: model.repeat_chunks]
        return chunks

    def _window(self, samples: Float32) -> Float32:
        """A whole window of these samples, silence behind them."""
        if len(samples) == self._whole:
            return samples
        self._padded[: len(samples)] = samples
        self._padded[len(samples) :] = 0
        return self._padded
