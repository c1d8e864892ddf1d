"""WAV files byte by byte, for what no library would write: wrong sizes, odd chunks, cut data."""

from __future__ import annotations

import struct

import numpy as np

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def fmt(tag=1, channels=1, rate_hz=16000, bits=16, align=None):
    """The body of a format chunk."""
    align = channels * ((bits + 7) // 8) if align is None else align
    return struct.pack("<HHIIHH", tag, channels, rate_hz & 0xFFFFFFFF, 0, align, bits)


def extensible(tag=1, channels=1, rate_hz=16000, bits=24, valid_bits=24):
    return fmt(0xFFFE, channels, rate_hz, bits) + struct.pack("<HHIH", 22, valid_bits, 0, tag) + GUID_TAIL


def chunk(kind, body, pad=True):
    return kind + struct.pack("<I", len(body)) + body + (b"\0" if pad and len(body) % 2 else b"")


def wav(data, fmt_body=None, before=b"", after=b"", data_size=None, riff_size=None, magic=b"RIFF"):
    """A whole file; ``data_size`` and ``riff_size`` lie when given."""
    body = chunk(b"fmt ", fmt() if fmt_body is None else fmt_body) + before
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data + after
    return magic + struct.pack("<I", len(body) + 4 if riff_size is None else riff_size) + b"WAVE" + body


def rf64(data, ds64_data_size=None, data_size=0xFFFFFFFF):
    size = len(data) if ds64_data_size is None else ds64_data_size
    ds64 = chunk(b"ds64", struct.pack("<QQQI", len(data) + 72, size, 0, 0))
    body = ds64 + chunk(b"fmt ", fmt()) + b"data" + struct.pack("<I", data_size) + data
    return b"RF64" + b"\xff\xff\xff\xff" + b"WAVE" + body


def tone(n=1600, rate_hz=16000, hz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)).astype(np.float32)


def s16(samples):
    return np.rint(np.asarray(samples) * 32767).astype("<i2").tobytes()
