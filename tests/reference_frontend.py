"""The front end once more, in float64 with NumPy and SciPy, written for comparison and not for speed.

It shares nothing with the C code but the meaning of ``FrontendOptions``; docs/frontend.md has the formulas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.signal

from edge_ser.frontend import FrontendOptions

Array = np.ndarray[Any, np.dtype[np.float64]]


def features(samples: Array, options: FrontendOptions) -> Array:
    """float [n] -> float64 [frames, features]."""
    rows = static_features(np.asarray(samples, np.float64), options)
    blocks = [rows]
    for _ in range(options.deltas):
        blocks.append(deltas(blocks[-1], options.delta_window))
    return normalize(np.concatenate(blocks, axis=1), options)


def frame_starts(n: int, o: FrontendOptions) -> Array:
    """First sample of each frame; may lie before 0, and frames may reach beyond n."""
    window, hop = o.window_length, o.hop_length
    if n == 0:
        count = first = 0
    elif o.framing == "snip":
        count, first = max(0, 1 + (n - window) // hop), 0
    elif o.framing == "tail":
        count, first = 1 + max(0, -(-(n - window) // hop)), 0
    elif o.framing == "mirror":
        count, first = (n + hop // 2) // hop, hop // 2 - window // 2
    else:  # the window stands in the middle of n_fft samples, which are centred on t * hop
        count, first = 1 + n // hop, (o.n_fft - window) // 2 - o.n_fft // 2
    return first + hop * np.arange(count)


def frames_of(signal: Array, o: FrontendOptions) -> Array:
    n = len(signal)
    places = frame_starts(n, o)[:, None] + np.arange(o.window_length)
    if o.framing == "mirror":
        period = places % (2 * n) if n else places
        return signal[np.where(period < n, period, 2 * n - 1 - period)]
    inside = (places >= 0) & (places < n)
    return np.where(inside, signal[np.clip(places, 0, max(0, n - 1))] if n else 0.0, 0.0)


def window_of(name: str | None, n: int) -> Array:
    if name == "povey":
        return scipy.signal.get_window("hann", n, fftbins=False) ** 0.85
    if name == "hann_periodic":
        return scipy.signal.get_window("hann", n, fftbins=True)
    if name == "rectangular":
        return np.ones(n)
    return scipy.signal.get_window(name, n, fftbins=False)


def hz_to_mel(hz: Array, scale: str | None) -> Array:
    if scale == "htk":
        return 1127.0 * np.log1p(hz / 700.0)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: Array, scale: str | None) -> Array:
    if scale == "htk":
        return 700.0 * np.expm1(mel / 1127.0)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


def mel_matrix(o: FrontendOptions) -> Array:
    """[n_mels, n_fft / 2 + 1]."""
    ends = hz_to_mel(np.array([o.low_hz, o.high_hz]), o.mel_scale)
    corners_hz = mel_to_hz(np.linspace(ends[0], ends[1], o.n_mels + 2), o.mel_scale)
    bins_hz = np.arange(o.n_fft // 2 + 1) * (o.rate_hz / o.n_fft)
    if o.mel_slope == "mel":
        corners, at = hz_to_mel(corners_hz, o.mel_scale), hz_to_mel(bins_hz, o.mel_scale)
    elif o.mel_slope == "hz":
        corners, at = corners_hz, bins_hz
    else:
        corners, at = np.floor((o.n_fft + 1) * corners_hz / o.rate_hz + 1e-9), np.arange(o.n_fft // 2 + 1.0)
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising, falling = (at - left) / (peak - left), (right - at) / (right - peak)
    weights = np.where(
        (at >= left) & (at < peak), rising, np.where((at >= peak) & (at < right), falling, 0.0)
    )
    if o.mel_norm == "slaney":
        weights *= 2.0 / (corners_hz[2:] - corners_hz[:-2])[:, None]
    return weights


def static_features(samples: Array, o: FrontendOptions) -> Array:
    signal = samples * o.input_scale
    signal[~(np.abs(signal) <= 1e12)] = 0.0
    if o.preemphasis_scope == "signal":
        signal = scipy.signal.lfilter([1.0, -o.preemphasis], [1.0], signal)
    frames = frames_of(signal, o)
    if o.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy = (frames**2).sum(axis=1)
    if o.preemphasis_scope == "frame":
        frames = frames - o.preemphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = frames * window_of(o.window, o.window_length)
    if o.energy == "windowed":
        energy = (frames**2).sum(axis=1)
    power = o.power_scale * np.abs(scipy.fft.rfft(frames, o.n_fft, axis=1)) ** 2
    if o.energy == "spectrum":
        energy = power.sum(axis=1)

    unit = 10 / np.log(10) if o.log == "db" else 1.0
    log_mel = unit * np.log(np.maximum(power @ mel_matrix(o).T, o.log_floor))
    log_energy = unit * np.log(np.maximum(energy, o.log_floor))[:, None]
    if o.feature == "log_mel":
        return log_mel if o.energy == "none" else np.concatenate([log_mel, log_energy], axis=1)
    cepstra = scipy.fft.dct(log_mel, norm="ortho", axis=1)[:, : o.n_mfcc]
    if o.lifter:
        cepstra = cepstra * (1 + o.lifter / 2 * np.sin(np.pi * np.arange(o.n_mfcc) / o.lifter))
    if o.energy != "none":
        cepstra[:, :1] = log_energy
    return cepstra


def deltas(rows: Array, n_side: int) -> Array:
    """Regression slope over n_side rows on either side, edge rows repeated."""
    if len(rows) == 0:
        return rows
    padded = np.pad(rows, ((n_side, n_side), (0, 0)), mode="edge")
    weights = np.arange(-n_side, n_side + 1)
    slopes = [weights @ padded[t : t + 2 * n_side + 1] for t in range(len(rows))]
    return np.array(slopes) / (weights**2).sum()


def normalize(rows: Array, o: FrontendOptions) -> Array:
    if o.normalize == "none" or len(rows) == 0:
        return rows
    length = max(1, round(o.normalize_s * o.rate_hz / o.hop_length))
    out = np.empty_like(rows)
    for t in range(len(rows)):
        span = rows if o.normalize == "utterance" else rows[max(0, t + 1 - length) : t + 1]
        out[t] = rows[t] - span.mean(axis=0)
        if o.normalize_variance:
            out[t] /= np.sqrt(np.maximum(span.var(axis=0), 1e-10))
    return out
