"""Audio in: every kind of file gives the right samples or one AudioError line."""

from __future__ import annotations

import io
import os
import random
import threading

import numpy as np
import pytest
import soundfile
from wav_bytes import chunk, extensible, fmt, rf64, s16, tone, wav

from edge_ser.audio import AudioReader, RawFormat, read_audio
from edge_ser.errors import AudioError

TONE = tone()
PCM16 = s16(TONE)


def read(data: bytes, rate_hz=16000):
    return read_audio(io.BytesIO(data), rate_hz)


def error_of(data: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        read(data)
    message = str(caught.value)
    assert "\n" not in message and message.count(";") >= 1  # one line; what to do comes after the semicolon
    return message


# --- formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "subtype", "tolerance"),
    [("WAV", "PCM_U8", 2**-7), ("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-23), ("WAV", "PCM_32", 1e-7),
     ("WAV", "FLOAT", 0), ("WAV", "DOUBLE", 0), ("WAVEX", "PCM_16", 2**-15), ("WAVEX", "PCM_24", 2**-23),
     ("WAVEX", "FLOAT", 0), ("RF64", "PCM_16", 2**-15), ("RF64", "FLOAT", 0),
     ("WAV", "ULAW", 0.02), ("WAV", "ALAW", 0.02), ("FLAC", "PCM_16", 2**-15), ("FLAC", "PCM_24", 2**-23),
     ("AIFF", "PCM_16", 2**-15),
     ("OGG", "VORBIS", 0.05), ("OGG", "OPUS", 0.1), ("W64", "PCM_16", 2**-15), ("AU", "PCM_16", 2**-15)],
)  # fmt: skip
def test_every_container_and_sample_type_gives_the_samples_that_were_written(
    tmp_path, container, subtype, tolerance
):
    path = tmp_path / "tone"
    soundfile.write(path, TONE, 16000, format=container, subtype=subtype)
    samples, notes = read_audio(path, 16000)
    assert samples.dtype == np.float32
    assert notes == []
    assert len(samples) == 1600
    assert np.abs(samples - TONE).max() <= tolerance


def test_mp3_gives_the_tone_that_was_written(tmp_path):
    path = tmp_path / "tone.mp3"
    soundfile.write(path, tone(32000), 16000, format="MP3")
    samples, _ = read_audio(path, 16000)
    assert abs(len(samples) - 32000) <= 1152  # one frame of encoder padding
    spectrum = np.abs(np.fft.rfft(samples[8000:24000]))
    assert spectrum.argmax() == 440
    assert abs(np.abs(samples[8000:24000]).max() - 0.5) < 0.03


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_our_wav_reader_and_libsndfile_agree_to_the_bit(tmp_path, subtype, channels):
    noise = np.random.default_rng(1).uniform(-1, 1, (700, channels))
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, 16000, subtype=subtype)
    theirs, _ = soundfile.read(path, dtype="float32", always_2d=True)
    ours, _ = read_audio(path, 16000)
    assert np.array_equal(ours, theirs.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize(
    ("sample_format", "bits", "dtype"),
    [(1, 8, "u1"), (1, 16, "<i2"), (1, 32, "<i4"), (3, 32, "<f4"), (3, 64, "<f8")],
)
def test_full_scale_never_wraps(sample_format, bits, dtype):
    limits = (-1.0, 1.0) if sample_format == 3 else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    samples, _ = read(wav(np.array(limits, dtype).tobytes(), fmt(sample_format, bits=bits)))
    assert samples[0] == -1.0
    assert 1 - 2**-6 < samples[1] <= 1.0


def test_full_scale_in_24_bits_never_wraps():
    samples, _ = read(wav(b"\xff\xff\x7f" + b"\x00\x00\x80", fmt(bits=24)))
    assert samples.tolist() == [np.float32(1 - 2**-23), -1.0]


def test_extensible_24_bits_in_four_bytes_are_left_justified():
    data = (np.array([2**22, -(2**22)], "<i4") << 8).tobytes()
    assert read(wav(data, extensible(bits=32, valid_bits=24)))[0].tolist() == [0.5, -0.5]


def test_channels_are_averaged():
    data = np.array([[16384, 0], [0, -16384]], "<i2").tobytes()
    assert read(wav(data, fmt(channels=2)))[0].tolist() == [0.25, -0.25]


# --- sizes, chunks, truncation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        wav(PCM16, data_size=0, riff_size=0),
        wav(PCM16, data_size=0, riff_size=36),
        wav(PCM16, data_size=0, riff_size=0xFFFFFFFF),
        wav(PCM16, data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF),
        wav(PCM16, data_size=0xFFFFFFFF),
        wav(PCM16, data_size=0x7FFFFFFF, riff_size=0x7FFFFFFF),
        wav(PCM16, data_size=0x80000000, riff_size=0x80000024),
        wav(PCM16, riff_size=0),
        wav(PCM16, riff_size=0, after=chunk(b"LIST", b"INFO")),
        wav(PCM16, before=chunk(b"LIST", b"odd")),
        wav(PCM16, before=chunk(b"LIST", b"odd", pad=False)),
        wav(PCM16, before=chunk(b"LIST", b"even"), after=chunk(b"id3 ", b"trailing")),
        wav(PCM16, fmt() + b"\0\0"),
        wav(PCM16, fmt() + b"\0"),
        wav(PCM16, fmt(align=7)),
        rf64(PCM16),
        rf64(PCM16, ds64_data_size=0),
        rf64(PCM16, ds64_data_size=1 << 62),
        rf64(PCM16, data_size=len(PCM16)),
    ],
)
def test_streamed_sizes_and_odd_chunks_lose_no_sample(data):
    samples, notes = read(data)
    assert samples.tolist() == (np.frombuffer(PCM16, "<i2") / np.float32(32768)).tolist()
    assert notes == []


def test_truncated_wav_gives_what_is_there_and_says_so():
    samples, notes = read(wav(PCM16, data_size=48000))
    assert len(samples) == 1600
    assert notes == ["cut off: ends after 0.10 s, its header promises 1.50 s"]


def test_a_byte_too_many_is_named():
    samples, notes = read(wav(PCM16 + b"\x01"))
    assert len(samples) == 1600
    assert notes == ["the last 1 bytes are part of a sample and were left out"]


def test_an_empty_data_chunk_before_other_chunks_holds_no_samples():
    assert "holds no samples" in error_of(wav(b"", after=chunk(b"LIST", b"INFO")))
    assert "holds no samples" in error_of(wav(b""))


def test_half_a_flac_is_an_error_that_says_where(tmp_path):
    path = tmp_path / "half.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 160000), 16000)
    whole = path.read_bytes()
    assert "damaged after 4." in error_of(whole[: len(whole) // 2])


def test_half_an_mp3_is_noted_as_cut_off(tmp_path):
    path = tmp_path / "half.mp3"
    soundfile.write(path, tone(48000), 16000, format="MP3")
    samples, notes = read(path.read_bytes()[: path.stat().st_size // 2])
    assert 20000 < len(samples) < 28000
    assert len(notes) == 1 and notes[0].startswith("cut off: ends after 1.")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not audio"),
        (b"hello" * 100, "not audio"),
        (wav(PCM16)[:30], "ends after 30 bytes"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", PCM16), "no format chunk"),
        (wav(PCM16, fmt(channels=0)), "0 channels"),
        (wav(PCM16, fmt(channels=2000)), "2000 channels"),
        (wav(PCM16, fmt(rate_hz=0)), "0 Hz"),
        (wav(PCM16, fmt(rate_hz=4_000_000_000)), "4000000000 Hz"),
        (wav(PCM16, fmt(bits=40)), "40 bits"),
        (wav(PCM16, b"short"), "format chunk of 5 bytes"),
        (wav(PCM16, before=b"LIST\xff\xff\xff\x7f"), "no samples in the first 16 MiB"),
    ],
)
def test_what_is_not_a_recording_is_one_line(data, reason):
    assert reason in error_of(data)


def test_a_missing_file_a_directory_and_an_impossible_name_are_audio_errors(tmp_path):
    for path, reason in [
        (tmp_path / "no.wav", "no such file"),
        (tmp_path, "directory"),
        ("a\0b", "no such file can"),
    ]:
        with pytest.raises(AudioError, match=reason):
            read_audio(path, 16000)


# --- conditioning -------------------------------------------------------------------------------------------


def test_samples_that_are_not_numbers_become_silence_and_are_counted():
    values = np.array([0.25, np.nan, np.inf, -np.inf, 1e30, 1e300, -0.25], "<f8")
    samples, notes = read(wav(values.tobytes(), fmt(3, bits=64)))
    assert samples.tolist() == [0.25, 0, 0, 0, 0, 0, -0.25]
    assert notes == ["5 samples were not usable numbers (NaN, infinite, enormous): made silent"]


def test_flat_tops_are_clipping_and_a_single_peak_is_not():
    clipped = np.clip(tone(level=2.0), -1, 1)
    _, notes = read(wav(s16(clipped)))
    assert notes == [
        f"clipped: {np.count_nonzero(np.abs(clipped) == 1)} samples (66 %) are flat at full scale"
    ]
    assert read(wav(s16(tone(level=1.0))))[1] == []
    eight_bits = np.where(tone() > 0, 255, 100).astype(np.uint8).tobytes()
    assert read(wav(eight_bits, fmt(bits=8)))[1][0].startswith("clipped: 799 ")


def test_floats_at_integer_scale_are_remarked_on():
    _, notes = read_audio(TONE * 32768, 16000)
    assert notes == ["samples reach 1.64e+04 times full scale: floats should lie between -1 and 1"]


# --- rates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source_rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_becomes_the_wanted_rate(source_rate_hz):
    samples, notes = read(wav(s16(tone(source_rate_hz, source_rate_hz)), fmt(rate_hz=source_rate_hz)))
    assert abs(len(samples) - 16000) <= 1
    middle = slice(2000, 14000)
    assert np.abs(samples[middle] - tone(len(samples))[middle]).max() < 1e-3
    assert [note.partition(",")[0] for note in notes] == (
        [f"recorded at {source_rate_hz} Hz: nothing above {source_rate_hz // 2} Hz"]
        if source_rate_hz < 16000
        else []
    )


def test_resampling_in_blocks_equals_resampling_at_once():
    import soxr

    noise = np.random.default_rng(2).uniform(-0.5, 0.5, 200_000).astype(np.float32)
    assert np.array_equal(read_audio(noise, 16000, 44100)[0], soxr.resample(noise, 44100, 16000))


# --- arrays, pipes, raw -------------------------------------------------------------------------------------


def test_arrays_of_every_sample_type_are_scaled_by_their_type():
    for dtype, value in [
        (np.int16, 8192),
        (np.int32, 2**29),
        (np.uint8, 160),
        (np.float32, 0.25),
        (np.float64, 0.25),
    ]:
        assert read_audio(np.full(4, value, dtype), 16000)[0].tolist() == [0.25] * 4


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(9, complex),
        np.zeros(9, np.int64),
        np.array(["a"]),
        np.zeros((2, 2, 2)),
        np.zeros((2, 900)),
        np.array(0.5),
    ],
)
def test_arrays_that_are_no_audio_are_refused(array):
    with pytest.raises(AudioError, match="; give "):
        read_audio(array, 16000)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_pipe_reads_like_a_file(tmp_path, container):
    path = tmp_path / "tone"
    soundfile.write(path, TONE, 16000, format=container, subtype="PCM_16")
    reading, writing = os.pipe()

    def feed():
        with os.fdopen(writing, "wb") as sink:
            sink.write(path.read_bytes())

    writer = threading.Thread(target=feed)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        assert np.array_equal(read_audio(pipe, 16000)[0], read_audio(path, 16000)[0])
    writer.join()


def test_raw_pcm_is_read_as_it_is_described():
    reader = AudioReader(
        io.BytesIO(np.array([[16384, 0], [0, 16384]], "<i2").tobytes()), 16000, RawFormat(16000, 2)
    )
    assert np.concatenate(list(reader)).tolist() == [0.25, 0.25]
    assert reader.duration_s == 2 / 16000


def test_a_long_stream_is_read_in_bounded_blocks():
    class Endless(io.RawIOBase):
        left = 64 << 20

        def read(self, n=-1):
            assert 0 < n <= 1 << 20  # nobody asks for everything
            n = min(n, self.left)
            self.left -= n
            return bytes(n)

    reader = AudioReader(Endless(), 16000, RawFormat(16000))
    assert max(len(block) for block in reader) <= 1 << 16
    assert reader.duration_s == (32 << 20) / 16000


# --- fuzz ---------------------------------------------------------------------------------------------------


def test_mutated_headers_give_finite_samples_or_an_audio_error():
    rng = random.Random(5)
    originals = [
        wav(PCM16[:400]),
        wav(PCM16[:400], extensible(bits=16)),
        rf64(PCM16[:400]),
        wav(PCM16[:400], fmt(3, bits=32)),
    ]
    for container in ("FLAC", "OGG", "WAVEX", "AIFF"):
        file = io.BytesIO()
        soundfile.write(file, TONE, 16000, format=container)
        originals.append(file.getvalue())
    good = bad = 0
    for _ in range(3000):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 120))] = rng.choice(
                [0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)]
            )
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            samples, _ = read(bytes(data))
        except AudioError as error:
            assert "\n" not in str(error)
            bad += 1
        else:
            assert np.isfinite(samples).all()
            good += 1
    assert good > 100 and bad > 100
