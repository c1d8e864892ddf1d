"""The header of a WAV stream, read forwards only, so that files and pipes are the same.

It understands RIFF and RF64/BW64 (EBU Tech 3306), WAVE_FORMAT_PCM, _IEEE_FLOAT and _EXTENSIBLE, the sizes 0
and 0xFFFFFFFF that recorders leave when they cannot seek back or were killed, and odd chunks with or without
their pad byte. libsndfile reads a data size of 0 as "no samples" and cuts truncated data without a word;
hence our own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from edge_ser.errors import AudioError

PCM, IEEE_FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
EXTENSIBLE_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # after the two bytes of the format tag
UNKNOWN_SIZE = 0xFFFFFFFF
OPEN_ENDED_BYTES = 0x7FFF0000  # arecord and sox announce about 2 GiB when they write into a pipe
MAX_HEADER_BYTES = 16 << 20
MAX_CHANNELS = 1024

Read = Callable[[int], bytes]


class WavHeader(NamedTuple):
    """What follows the header: interleaved samples of ``sample_format`` (a key of pcm.SAMPLE_BYTES).

    ``data_bytes`` is their size, None for "until the stream ends"; ``exact`` says that fewer means
    truncation.
    """

    rate_hz: int
    channels: int
    sample_format: str
    data_bytes: int | None
    exact: bool


class _Cursor:
    """Exact reads with a position, an upper limit and one byte of look-ahead."""

    def __init__(self, read: Read, name: str) -> None:
        self._read, self._name, self._ahead, self.position = read, name, b"", 0

    def take(self, n: int) -> bytes:
        data = self._ahead[:n] + self._read(max(0, n - len(self._ahead)))
        self._ahead = self._ahead[n:]
        self.position += len(data)
        if len(data) < n:
            raise AudioError(
                f"{self._name}: the WAV header ends after {self.position} bytes, before any samples; "
                "the file is cut off, copy or record it again"
            )
        return data

    def skip_chunk(self, n: int) -> None:
        if self.position + n > MAX_HEADER_BYTES:
            raise AudioError(f"{self._name}: no samples in the first 16 MiB of the WAV file; it is damaged")
        self.take(n)
        self.skip_pad(n)

    def skip_pad(self, n: int) -> None:
        """Pass over the pad byte behind a chunk of ``n`` bytes, if there ought to be one and the writer made
        it.
        """
        if n % 2:
            pad = self.take(1)
            if pad != b"\0":
                self._ahead, self.position = pad, self.position - 1


def read_wav_header(read: Read, name: str) -> WavHeader | None:
    """Read up to the first sample of a WAV stream.

    ``read(n)`` returns n bytes, or fewer at the end of the stream. Returns None when the stream is no WAV or
    holds compressed samples (another decoder's work); raises AudioError when it is a WAV and damaged.
    """
    start = read(12)
    if len(start) < 12 or start[:4] not in (b"RIFF", b"RF64", b"BW64") or start[8:] != b"WAVE":
        return None
    cursor = _Cursor(read, name)
    cursor.position = 12
    riff_bytes = struct.unpack_from("<I", start, 4)[0]
    data_bytes_64 = None
    layout: tuple[int, int, str] | None = None
    while True:
        kind, size = struct.unpack("<4sI", cursor.take(8))
        if kind == b"data":
            break
        if kind == b"ds64" and size >= 24:
            data_bytes_64 = struct.unpack_from("<Q", cursor.take(24), 8)[0]
            cursor.skip_chunk(size - 24)
        elif kind == b"fmt " and 16 <= size <= 4096:
            layout = _layout(cursor.take(size), name)
            cursor.skip_pad(size)
            if layout is None:
                return None
        elif kind == b"fmt ":
            raise AudioError(f"{name}: a WAV format chunk of {size} bytes; the file is damaged")
        else:
            cursor.skip_chunk(size)
    if layout is None:
        raise AudioError(
            f"{name}: the WAV file has samples but no format chunk; it is damaged, record it again"
        )
    return WavHeader(*layout, *_extent(size, data_bytes_64, riff_bytes, cursor.position))


def _layout(chunk: bytes, name: str) -> tuple[int, int, str] | None:
    """Rate, channels and sample format of a ``fmt `` chunk; None when its codec is not plain PCM or float."""
    tag, channels, rate_hz, _, align, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == EXTENSIBLE_GUID_TAIL:
        tag = struct.unpack_from("<H", chunk, 24)[0]
    if tag not in (PCM, IEEE_FLOAT):
        return None
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: a WAV header with {channels} channels; the file is damaged")
    width = (bits + 7) // 8
    if tag == PCM and align % channels == 0 and width < align // channels <= 4:
        width = (
            align // channels
        )  # 20 or 24 bits in four bytes: left-justified, so the wider type reads them right
    formats = {1: "u8", 2: "s16le", 3: "s24le", 4: "s32le"} if tag == PCM else {4: "f32le", 8: "f64le"}
    if width not in formats:
        raise AudioError(
            f"{name}: {bits} bits a sample; WAV files of 8 to 32 bits, float and double can be read"
        )
    return rate_hz, channels, formats[width]


def _extent(size: int, size_64: int | None, riff_bytes: int, position: int) -> tuple[int | None, bool]:
    """Bytes of samples and whether fewer means truncation, from the sizes that the header gives."""
    if size == UNKNOWN_SIZE and size_64 is not None:
        return (size_64, True) if 0 < size_64 < 1 << 48 else (None, False)
    if size == UNKNOWN_SIZE:
        return None, False
    if size == 0:
        truly_empty = riff_bytes != UNKNOWN_SIZE and riff_bytes + 8 > position
        return (0, True) if truly_empty else (None, False)
    return size, size < OPEN_ENDED_BYTES
