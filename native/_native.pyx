# cython: boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The Cython binding of the C front end: validates, releases the GIL, calls C. `edge_ser.frontend` is its face."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport int8_t, int32_t, uint64_t
from libc.string cimport memcpy

from edge_ser.errors import AudioError, ConfigError, EdgeSerError

import numpy


cdef extern from "edge_ser.h" nogil:
    ctypedef int es_preset
    enum:
        ES_KALDI, ES_LIBROSA, ES_HTK
    ctypedef int es_feature
    ctypedef int es_framing
    ctypedef int es_window
    ctypedef int es_preemphasis_scope
    ctypedef int es_mel_scale
    ctypedef int es_mel_slope
    ctypedef int es_mel_norm
    ctypedef int es_log
    ctypedef int es_energy
    ctypedef int es_normalize
    ctypedef struct es_options:
        int32_t rate_hz, window_length, hop_length, n_fft, n_mels, n_mfcc
        es_feature feature
        es_framing framing
        es_window window
        int32_t remove_dc
        es_preemphasis_scope preemphasis_scope
        float preemphasis
        es_mel_scale mel_scale
        es_mel_slope mel_slope
        es_mel_norm mel_norm
        float low_hz, high_hz, power_scale
        es_log log
        float log_floor, lifter
        es_energy energy
        float input_scale
        int32_t delta_order, delta_window
        es_normalize normalize
        int32_t normalize_variance, normalize_frames
        int simd
    ctypedef struct es_frontend:
        pass
    void es_options_init(es_options *options, es_preset preset)
    const char *es_options_problem(const es_options *options)
    size_t es_frontend_size(const es_options *options)
    es_frontend *es_frontend_create(const es_options *options)
    void es_frontend_destroy(es_frontend *frontend)
    size_t es_n_features(const es_frontend *frontend)
    const char *es_simd_name(const es_frontend *frontend)
    size_t es_n_frames(const es_frontend *frontend, size_t n_samples)
    size_t es_process(es_frontend *frontend, const float *samples, size_t n_samples, float *rows)
    size_t es_process_int8(es_frontend *frontend, const float *samples, size_t n_samples, const float *scale,
                           const float *offset, int8_t *quantized, float *work)
    size_t es_push(es_frontend *frontend, const float *samples, size_t n_samples)
    void es_finish(es_frontend *frontend)
    size_t es_ready(const es_frontend *frontend)
    size_t es_pull(es_frontend *frontend, float *rows, size_t max_frames)
    void es_normalize_rows(es_frontend *frontend, float *rows, size_t n_frames)
    void es_reset(es_frontend *frontend)
    uint64_t es_bad_samples(const es_frontend *frontend)

# The order of each list is the order of the C enum.
PRESETS = ("kaldi", "librosa", "htk")
FEATURES = ("mfcc", "log_mel")
FRAMINGS = ("snip", "mirror", "center", "tail")
WINDOWS = ("povey", "hamming", "hann", "hann_periodic", "blackman", "rectangular")
PREEMPHASIS_SCOPES = ("frame", "signal")
MEL_SCALES = ("htk", "slaney")
MEL_SLOPES = ("mel", "hz", "bin")
MEL_NORMS = ("none", "slaney")
LOGS = ("natural", "db")
ENERGIES = ("none", "raw", "windowed", "spectrum")
NORMALIZES = ("none", "utterance", "sliding")
SIMDS = ("best", "base", "avx2", "avx512")


def preset_options(str preset) -> dict:
    """The C library's options for a preset, by the names of the C struct, enums as their names."""
    cdef es_options o
    es_options_init(&o, PRESETS.index(preset))
    return {
        "feature": FEATURES[o.feature], "framing": FRAMINGS[o.framing], "window": WINDOWS[o.window],
        "remove_dc": bool(o.remove_dc), "preemphasis_scope": PREEMPHASIS_SCOPES[o.preemphasis_scope],
        "preemphasis": o.preemphasis, "mel_scale": MEL_SCALES[o.mel_scale], "mel_slope": MEL_SLOPES[o.mel_slope],
        "mel_norm": MEL_NORMS[o.mel_norm], "low_hz": o.low_hz, "log": LOGS[o.log], "log_floor": o.log_floor,
        "lifter": o.lifter, "energy": ENERGIES[o.energy], "input_scale": o.input_scale,
    }


cdef int read_options(dict given, es_options *o) except -1:
    """From a dict with every field of the C struct, enums as their names."""
    o.rate_hz = given["rate_hz"]
    o.window_length = given["window_length"]
    o.hop_length = given["hop_length"]
    o.n_fft = given["n_fft"]
    o.n_mels = given["n_mels"]
    o.n_mfcc = given["n_mfcc"]
    o.feature = FEATURES.index(given["feature"])
    o.framing = FRAMINGS.index(given["framing"])
    o.window = WINDOWS.index(given["window"])
    o.remove_dc = given["remove_dc"]
    o.preemphasis_scope = PREEMPHASIS_SCOPES.index(given["preemphasis_scope"])
    o.preemphasis = given["preemphasis"]
    o.mel_scale = MEL_SCALES.index(given["mel_scale"])
    o.mel_slope = MEL_SLOPES.index(given["mel_slope"])
    o.mel_norm = MEL_NORMS.index(given["mel_norm"])
    o.low_hz = given["low_hz"]
    o.high_hz = given["high_hz"]
    o.power_scale = given["power_scale"]
    o.log = LOGS.index(given["log"])
    o.log_floor = given["log_floor"]
    o.lifter = given["lifter"]
    o.energy = ENERGIES.index(given["energy"])
    o.input_scale = given["input_scale"]
    o.delta_order = given["delta_order"]
    o.delta_window = given["delta_window"]
    o.normalize = NORMALIZES.index(given["normalize"])
    o.normalize_variance = given["normalize_variance"]
    o.normalize_frames = given["normalize_frames"]
    o.simd = SIMDS.index(given["simd"])
    return 0


def options_problem(dict given) -> str | None:
    """Why the C library refuses these options, or None."""
    cdef es_options o
    read_options(given, &o)
    cdef const char *problem = es_options_problem(&o)
    return None if problem == NULL else (<bytes>problem).decode("ascii")


cdef object new_array = numpy.empty
cdef object float32 = numpy.dtype(numpy.float32)


cdef int hold_samples(samples, Py_buffer *view) except -1:
    """Acquires a contiguous float32 vector, a copy when need be; AudioError when it is not a vector of floats.

    The buffer protocol is used by hand: a typed memoryview costs half a microsecond, as much as the features of a hop.
    """
    try:
        PyObject_GetBuffer(samples, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    except (BufferError, TypeError, ValueError):
        pass
    else:
        if view.ndim == 1 and view.format[0] == b"f" and view.format[1] == 0:
            return 0
        PyBuffer_Release(view)
    if not isinstance(samples, numpy.ndarray) or samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError("samples must be a one-dimensional array of floats, nominally -1 to 1: convert them first")
    PyObject_GetBuffer(numpy.ascontiguousarray(samples, dtype=numpy.float32), view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    return 0


cdef int hold_codes(codes, Py_buffer *view) except -1:
    """Acquires a contiguous int8 matrix to write to, by hand as above."""
    PyObject_GetBuffer(codes, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    if view.ndim != 2 or view.format[0] != b"b" or view.format[1] != 0:
        PyBuffer_Release(view)
        raise ConfigError("out must be a contiguous int8 array of frames and features")
    return 0


cdef int release(Py_buffer *held, int n) except -1:
    while n > 0:
        n -= 1
        PyBuffer_Release(&held[n])
    return 0


cdef class LookUp:
    """A call gives float32 [n], new: ``table`` [256] at each of the n int8 ``codes`` of then, counted modulo 256.

    When a graph has run, little of numpy is in the caches: to have it make an array, or give out a buffer, takes
    microseconds. So the buffers are held from the start, and results are made many at a time.
    """

    cdef Py_buffer held[2]
    cdef int n_held
    cdef list rows     # results to come, the next one last
    cdef float *place  # of the next one

    def __cinit__(self, codes, table):
        for array in (codes, table):
            PyObject_GetBuffer(array, &self.held[self.n_held], PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
            self.n_held += 1
        codes_fit = self.held[0].ndim == 1 and self.held[0].format[0] == b"b"
        if not codes_fit or self.held[1].format[0] != b"f" or self.held[1].len != 256 * sizeof(float):
            raise ConfigError("a look-up takes a vector of int8 codes and 256 floats")
        self.rows = []

    def __dealloc__(self):
        release(self.held, self.n_held)

    cdef int make_rows(self) except -1:
        cdef Py_buffer out
        block = new_array((64, self.held[0].len), float32)
        PyObject_GetBuffer(block, &out, PyBUF_WRITABLE)
        self.place = <float *>out.buf
        PyBuffer_Release(&out)
        self.rows = list(block[::-1])
        return 0

    def __call__(self):
        cdef Py_ssize_t i
        if not self.rows:
            self.make_rows()
        for i in range(self.held[0].len):
            self.place[i] = (<float *>self.held[1].buf)[(<unsigned char *>self.held[0].buf)[i]]
        self.place += self.held[0].len
        return self.rows.pop()


cdef class NativeFrontend:
    """One C front end. Methods refuse to run while another thread is inside one of them."""

    cdef es_frontend *frontend
    cdef readonly size_t n_features
    cdef bint utterance  # rows wait for the end of the signal
    cdef bint busy
    cdef bint finished
    cdef list waiting    # of bytes: rows that were computed before they were asked for

    def __cinit__(self, dict given):
        cdef es_options o
        read_options(given, &o)
        cdef const char *problem = es_options_problem(&o)
        if problem != NULL:
            raise ConfigError((<bytes>problem).decode("ascii"))
        self.frontend = es_frontend_create(&o)
        if self.frontend == NULL:
            raise MemoryError(f"no {es_frontend_size(&o)} bytes for the front end")
        self.n_features = es_n_features(self.frontend)
        self.utterance = NORMALIZES[o.normalize] == "utterance"
        self.waiting = []

    def __dealloc__(self):
        es_frontend_destroy(self.frontend)

    cdef int enter(self) except -1:
        if self.busy:
            raise EdgeSerError("this Frontend is in use by another thread: give each thread its own")
        self.busy = True
        return 0

    @property
    def simd(self) -> str:
        """The instructions in use: sse2, avx2, avx512, neon or scalar."""
        return (<bytes>es_simd_name(self.frontend)).decode("ascii")

    cdef int begin_whole(self) except -1:
        self.enter()
        self.waiting.clear()
        self.finished = True
        return 0

    def n_frames(self, size_t n_samples) -> int:
        """Rows that a signal of ``n_samples`` samples gives."""
        return es_n_frames(self.frontend, n_samples)

    @property
    def bad_samples(self) -> int:
        """Samples since the last reset that were not finite (or beyond 1e12 after scaling) and were taken as 0."""
        return es_bad_samples(self.frontend)

    def process(self, samples):
        """float32 [n] samples -> float32 [frames, features]. Resets first; ends the signal."""
        cdef Py_buffer x, out
        hold_samples(samples, &x)
        cdef size_t n = x.len // sizeof(float)
        try:
            rows = new_array((es_n_frames(self.frontend, n), self.n_features), float32)
            PyObject_GetBuffer(rows, &out, PyBUF_WRITABLE)
            self.begin_whole()
            with nogil:
                es_process(self.frontend, <float *>x.buf, n, <float *>out.buf)
            self.busy = False
            PyBuffer_Release(&out)
        finally:
            PyBuffer_Release(&x)
        return rows

    def process_int8(self, samples, scale, offset, out) -> int:
        """Writes clip(rint(x * scale + offset), -128, 127) to ``out`` int8 [frames, features]; returns the frames.

        ``scale``, ``offset``: float32 [features]. ``out`` may have more rows than the signal has frames; the others
        are left alone.
        """
        return Int8Writer(self, scale, offset, out)(samples)

    cdef int store_ready(self) except -1:
        """Moves the rows that are ready to `waiting`."""
        cdef size_t ready = es_ready(self.frontend)
        if ready == 0:
            return 0
        rows = PyBytes_FromStringAndSize(NULL, ready * self.n_features * sizeof(float))
        cdef float *out = <float *>PyBytes_AsString(rows)
        with nogil:
            es_pull(self.frontend, out, ready)
        self.waiting.append(rows)
        return 0

    def push(self, samples) -> None:
        """Takes the next samples, float32 [n], of a signal; any n."""
        cdef Py_buffer x
        cdef size_t taken = 0, n
        if self.finished:
            raise AudioError("the signal has ended: call reset before pushing the next one")
        hold_samples(samples, &x)
        n = x.len // sizeof(float)
        try:
            self.enter()
            try:
                while taken < n:
                    with nogil:
                        taken += es_push(self.frontend, <float *>x.buf + taken, n - taken)
                    if taken < n:
                        self.store_ready()
            finally:
                self.busy = False
        finally:
            PyBuffer_Release(&x)

    def finish(self) -> None:
        """Ends the signal: the rows that wait for later samples become ready."""
        es_finish(self.frontend)
        self.finished = True

    def pull(self):
        """float32 [k, features]: the rows that are ready and were not pulled yet, k of them (perhaps none).

        Rows that wait for samples still to come are ready after ``finish``; normalisation over the utterance makes
        all rows wait for it.
        """
        cdef size_t ready = es_ready(self.frontend), stored = 0, row_bytes = self.n_features * sizeof(float)
        cdef Py_buffer out
        if self.utterance and not self.finished:
            return new_array((0, self.n_features), float32)
        for block in self.waiting:
            stored += len(block) // row_bytes
        rows = new_array((stored + ready, self.n_features), float32)
        PyObject_GetBuffer(rows, &out, PyBUF_WRITABLE)
        cdef char *place = <char *>out.buf
        try:
            self.enter()
            for block in self.waiting:
                memcpy(place, PyBytes_AsString(block), len(block))
                place += len(block)
            if stored:
                self.waiting.clear()
            with nogil:
                es_pull(self.frontend, <float *>place, ready)
                es_normalize_rows(self.frontend, <float *>out.buf, stored + ready)
            self.busy = False
        finally:
            PyBuffer_Release(&out)
        return rows

    def reset(self) -> None:
        """Forgets everything: a new signal begins."""
        es_reset(self.frontend)
        self.waiting.clear()
        self.finished = False


cdef class Int8Writer:
    """``frontend.process_int8`` to the same place time and again: a call takes samples and returns the frames.

    The three arrays are held from the start, as those of LookUp are.
    """

    cdef NativeFrontend frontend
    cdef Py_buffer held[3]
    cdef int n_held

    def __cinit__(self, NativeFrontend frontend, scale, offset, out):
        self.frontend = frontend
        for floats in (scale, offset):
            hold_samples(floats, &self.held[self.n_held])
            self.n_held += 1
            if self.held[self.n_held - 1].shape[0] != <Py_ssize_t>frontend.n_features:
                raise ConfigError(f"scale and offset must have {frontend.n_features} values, one for each feature")
        hold_codes(out, &self.held[2])
        self.n_held += 1

    def __dealloc__(self):
        release(self.held, self.n_held)

    def __call__(self, samples) -> int:
        cdef Py_buffer x
        cdef size_t n, n_frames, n_features = self.frontend.n_features
        cdef float *work = NULL
        hold_samples(samples, &x)
        try:
            n = x.len // sizeof(float)
            n_frames = es_n_frames(self.frontend.frontend, n)
            if self.held[2].shape[1] != <Py_ssize_t>n_features or self.held[2].shape[0] < <Py_ssize_t>n_frames:
                raise ConfigError(f"out is {self.held[2].shape[0]} x {self.held[2].shape[1]}, "
                                  f"the features are {n_frames} x {n_features}")
            if self.frontend.utterance:
                rows = PyBytes_FromStringAndSize(NULL, n_frames * n_features * sizeof(float))
                work = <float *>PyBytes_AsString(rows)
            self.frontend.begin_whole()
            with nogil:
                es_process_int8(self.frontend.frontend, <float *>x.buf, n, <float *>self.held[0].buf,
                                <float *>self.held[1].buf, <int8_t *>self.held[2].buf, work)
            self.frontend.busy = False
        finally:
            PyBuffer_Release(&x)
        return n_frames
