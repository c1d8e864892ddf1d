"""Recordings as mono float32 at the model's rate, in blocks, so that an hour needs no more
memory than a second.

WAV is read here (edge_ser.wav), everything else by libsndfile through soundfile; edge_ser.resample changes
rates. Samples that are not finite become silence and are counted, clipping is measured; what was found is in
``AudioReader.notes()``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ser import pcm
from edge_ser.conditioner import FULL_SCALE_U8, Conditioner
from edge_ser.errors import AudioError
from edge_ser.resample import Resampler
from edge_ser.wav import MAX_CHANNELS, WavHeader, read_wav_header

BLOCK_SAMPLES = 1 << 16  # of all channels together: 256 KiB of float32
MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 768_000

Samples = NDArray[np.float32]
Source = str | Path | IO[bytes] | NDArray[Any]


class RawFormat(NamedTuple):
    """Headerless PCM: rate, interleaved channels and a key of pcm.SAMPLE_BYTES."""

    rate_hz: int
    channels: int = 1
    sample_format: str = "s16le"


class AudioReader:
    """Iterate over the float32 mono blocks of ``source`` at ``rate_hz``; full scale is ±1.0.

    ``source`` is a path, "-" for standard input, a binary file (seekable or not) or an array (see
    ``from_array``). Channels are averaged. Nothing is read before the first block is asked for. Raises
    AudioError for whatever cannot be read; afterwards ``duration_s`` is the length of the audio and
    ``notes()`` what deserves a remark.
    """

    def __init__(self, source: str | Path | IO[bytes], rate_hz: int, raw: RawFormat | None = None) -> None:
        self.rate_hz = rate_hz
        self.name = _name(source)
        self.source_rate_hz = 0
        self.duration_s = 0.0
        self.conditioner = Conditioner()
        self._ending: list[str] = []
        self._blocks = self._decode(source, raw)

    @classmethod
    def from_array(cls, samples: NDArray[Any], source_rate_hz: int | None, rate_hz: int) -> AudioReader:
        """Read an array [n] or [n, channels]: float at ±1.0, or int16, int32, uint8 at their type's full
        scale.

        ``source_rate_hz`` None means that the samples are at ``rate_hz`` already.
        """
        reader = cls.__new__(cls)
        AudioReader.__init__(reader, "array", rate_hz)
        reader._blocks = reader._array_blocks(samples, source_rate_hz or rate_hz)
        return reader

    def __iter__(self) -> Iterator[Samples]:
        n = 0
        resample = None
        for block in self._blocks:
            n += len(block)
            mono = self.conditioner.apply(block)
            if self.source_rate_hz != self.rate_hz:
                if resample is None:
                    resample = Resampler(self.source_rate_hz, self.rate_hz)
                mono = resample(mono)
            if len(mono):
                yield mono
        if resample is not None:
            rest = resample(np.zeros(0, np.float32), last=True)
            if len(rest):
                yield rest
        if n == 0:
            raise AudioError(f"{self.name}: holds no samples; record it again")
        self.duration_s = n / self.source_rate_hz

    def notes(self) -> list[str]:
        """Remarks on the audio read so far, one sentence each; empty when there is nothing to say."""
        notes = self.conditioner.notes()
        if 0 < self.source_rate_hz < self.rate_hz:
            notes.append(
                f"recorded at {self.source_rate_hz} Hz: nothing above {self.source_rate_hz // 2} Hz, "
                f"the model expects up to {self.rate_hz // 2} Hz"
            )
        return notes + self._ending

    def _begin(self, rate_hz: int, channels: int, hint: str = "the file is damaged") -> int:
        """Check rate and channels, note the rate; frames of a block."""
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(
                f"{self.name}: {rate_hz} Hz is not between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz; {hint}"
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"{self.name}: {channels} channels, 1 to {MAX_CHANNELS} can be read; {hint}")
        self.source_rate_hz = rate_hz
        return max(1, BLOCK_SAMPLES // channels)

    def _decode(self, source: str | Path | IO[bytes], raw: RawFormat | None) -> Iterator[Samples]:
        try:
            with _open(source) as file:
                if raw is not None:
                    yield from self._pcm_blocks(
                        file, WavHeader(*raw, None, False), "check --rate and --channels"
                    )
                    return
                tape = _Tape(file)
                header = read_wav_header(tape.read, self.name)
                if header is not None:
                    yield from self._pcm_blocks(file, header, "the file is damaged")
                else:
                    with tape.rewound(source) as whole:
                        yield from self._soundfile_blocks(whole)
        except FileNotFoundError:
            raise AudioError(f"{self.name}: no such file; check the path") from None
        except OSError as error:
            raise AudioError(
                f"{self.name}: cannot be read ({error.strerror or error}); check the file"
            ) from None

    def _pcm_blocks(self, file: IO[bytes], header: WavHeader, hint: str) -> Iterator[Samples]:
        frames = self._begin(header.rate_hz, header.channels, hint)
        if header.sample_format == "u8":
            self.conditioner.full_scale = FULL_SCALE_U8
        frame_bytes = header.channels * pcm.SAMPLE_BYTES[header.sample_format]
        left = header.data_bytes
        carry = b""
        n = 0
        while left is None or left > 0:
            want = frames * frame_bytes - len(carry)
            data = file.read(want if left is None else min(want, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            data = carry + data  # a pipe may give part of a frame
            whole = len(data) - len(data) % frame_bytes
            carry = data[whole:]
            n += whole // frame_bytes
            if whole:
                yield pcm.decode(data[:whole], header.sample_format).reshape(-1, header.channels)
        if carry:
            self._ending.append(f"the last {len(carry)} bytes are part of a sample and were left out")
        if left and header.exact and header.data_bytes:
            self._note_truncation(n, header.data_bytes // frame_bytes)

    def _soundfile_blocks(self, source: str | int) -> Iterator[Samples]:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise AudioError(
                f"{self.name}: is not WAV, and soundfile, which reads the rest, does not load ({error}); "
                "install it or convert the file to WAV"
            ) from None
        n = 0
        try:
            with soundfile.SoundFile(source, closefd=False) as sound:
                frames = self._begin(sound.samplerate, sound.channels)
                promised = sound.frames
                while len(block := sound.read(frames, dtype="float32", always_2d=True)):
                    n += len(block)
                    yield block
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
            where = f"damaged after {n / self.source_rate_hz:.2f} s" if n else "not audio that can be decoded"
            what = str(error).rpartition(": ")[2].strip().rstrip(".")
            raise AudioError(f"{self.name}: {where} ({what}); WAV, FLAC, OGG and MP3 can be read") from None
        if (
            n < 0.99 * promised < 1 << 48
        ):  # the length of an MP3 is an estimate; endless streams promise 2**63 - 1
            self._note_truncation(n, promised)

    def _array_blocks(self, samples: NDArray[Any], rate_hz: int) -> Iterator[Samples]:
        if samples.dtype not in (np.uint8, np.int16, np.int32) and samples.dtype.kind != "f":
            raise AudioError(
                f"an array of {samples.dtype}; give float at ±1.0, int16, int32 or uint8 samples"
            )
        if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > max(samples.shape[0], 2)):
            raise AudioError(f"an array of shape {samples.shape}; give [samples] or [samples, channels]")
        columns = samples if samples.ndim == 2 else samples[:, np.newaxis]
        frames = self._begin(rate_hz, columns.shape[1], "check the array and rate_hz")
        for start in range(0, len(columns), frames):
            block = columns[start : start + frames]
            if block.dtype.kind == "f":
                with np.errstate(over="ignore", invalid="ignore"):
                    yield block.astype(np.float32)
            else:
                yield pcm.integers_to_float(block)

    def _note_truncation(self, n: int, promised: int) -> None:
        rate_hz = self.source_rate_hz
        self._ending.append(
            f"cut off: ends after {n / rate_hz:.2f} s, its header promises {promised / rate_hz:.2f} s"
        )


def read_audio(source: Source, rate_hz: int, source_rate_hz: int | None = None) -> tuple[Samples, list[str]]:
    """All of a recording as float32 [n] at ``rate_hz``, and the notes on it; see AudioReader for what can be
    read.
    """
    if isinstance(source, np.ndarray):
        reader = AudioReader.from_array(source, source_rate_hz, rate_hz)
    else:
        reader = AudioReader(source, rate_hz)
    blocks = list(reader)
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), reader.notes()


class _Tape:
    """Keeps what was read from a stream until it is known who decodes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kept: list[bytes] = []

    def read(self, n: int) -> bytes:
        data = self._file.read(n)
        self._kept.append(data)
        return data

    @contextmanager
    def rewound(self, source: str | Path | IO[bytes]) -> Iterator[str | int]:
        """The whole stream again, for libsndfile: a path, or else the descriptor of a copy on disk."""
        if isinstance(source, str | Path) and source != "-" and Path(source).is_file():
            yield str(source)
            return
        from shutil import copyfileobj
        from tempfile import TemporaryFile

        with TemporaryFile() as copy:
            copy.writelines(self._kept)
            copyfileobj(self._file, copy)
            copy.seek(0)
            yield copy.fileno()


def _name(source: str | Path | IO[bytes]) -> str:
    if source == "-":
        return "stdin"
    return str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "stream"))


def _open(source: str | Path | IO[bytes]) -> Any:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    if not isinstance(source, str | Path):
        return nullcontext(source)
    try:
        return Path(source).open("rb")
    except ValueError as error:  # a NUL or a lone surrogate
        raise AudioError(f"{str(source)!r}: no such file can exist ({error}); check the path") from None
