"""Writes src/fft_codelets.h: straight-line FFTs of 16, 32 and 64 points on vectors, for fft_kernel.h.

    python native/generate_codelets.py            writes the file
    python native/generate_codelets.py --check    exit status 1 when the file is not what would be written

The algorithm is the conjugate-pair split radix (Kamar and Elcherif 1989): with W = exp(-2 pi i / N) and
E, A, B the transforms of x[2j], x[4j+1], x[4j-1],

    p = W^k A[k] + W^-k B[k],   m = W^k A[k] - W^-k B[k]
    X[k] = E[k] + p,   X[k+N/2] = E[k] - p,   X[k+N/4] = E[k+N/4] - i m,   X[k+3N/4] = E[k+N/4] + i m.

W^k is taken as cos (1 - i tan), and the common cosine moved behind the sums, so that products fuse with
additions. Which product fuses with which sum is written out (es_multiply_add): the same codelet is compiled
for one frame and for a block, and compilers would not always choose alike. A value is loaded where it is
first needed and a result stored as soon as it is known: compilers keep that order, and it is what keeps the
number of live values near the number of registers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

OUTPUT = Path(__file__).parent / "src" / "fft_codelets.h"

# (points, leading inputs that are not zero): 25 of 32 are a window of 400 in 512.
REAL_PASSES = ((16, 16), (32, 25), (32, 32), (64, 64))
COMPLEX_PASSES = (16, 32, 64)


@dataclass(frozen=True)
class Real:
    """A C variable, or the product of two, perhaps to be negated. None stands for zero."""

    name: str
    negative: bool = False
    times: str = ""

    def __neg__(self) -> Real:
        return Real(self.name, not self.negative, self.times)


Value = Real | None
Complex = tuple[Value, Value]


def negated(a: Value) -> Value:
    return None if a is None else -a


@dataclass
class Writer:
    """Collects C statements, one operation each."""

    lines: list[str] = field(default_factory=list)
    products: dict[Real, str] = field(default_factory=dict)  # that were needed by themselves
    count: int = 0

    def assign(self, expression: str) -> Real:
        name = f"t{self.count}"
        self.count += 1
        self.lines.append(f"    const V {name} = {expression};")
        return Real(name)

    def name(self, a: Real) -> str:
        """The variable that holds a, less its sign."""
        if not a.times:
            return a.name
        if a not in self.products and -a not in self.products:
            self.products[a] = self.assign(f"{a.name} * {a.times}").name
        return self.products[a] if a in self.products else self.products[-a]

    def add(self, a: Value, b: Value) -> Value:
        if a is None or b is None:
            return a if b is None else b
        if a.negative and b.negative:
            return -self.add(-a, -b)  # type: ignore[operator]
        if b.times and not a.negative:
            first = self.name(a)
            if b.negative:
                return self.assign(f"es_subtract_product({first}, {b.name}, {b.times})")
            return self.assign(f"es_multiply_add({b.name}, {b.times}, {first})")
        if a.times and not (a.negative or b.negative):
            return self.add(b, a)
        if a.negative:
            return self.assign(f"{self.name(b)} - {self.name(a)}")
        return self.assign(f"{self.name(a)} {'-' if b.negative else '+'} {self.name(b)}")

    def sub(self, a: Value, b: Value) -> Value:
        return self.add(a, negated(b))

    def add_product(self, a: Value, factor: float, b: Value) -> Value:
        """a + factor * b."""
        if b is None or factor == 0.0:
            return a
        if factor == 1.0 or factor == -1.0:
            return self.add(a, b if factor > 0 else -b)
        assert a is not None
        if a.negative:
            return -self.add_product(-a, -factor, b)  # type: ignore[operator]
        first, second, constant = self.name(a), self.name(b), f"ES_C({abs(factor)!r}f)"
        if (factor < 0) != b.negative:
            return self.assign(f"es_subtract_product({first}, {second}, {constant})")
        return self.assign(f"es_multiply_add({constant}, {second}, {first})")


def twisted_pair(w: Writer, a: Complex, b: Complex, k: int, n: int) -> tuple[float, Complex, Complex]:
    """cosine, u, v with W^k a = cosine u and W^-k b = cosine v."""
    cosine = 1.0 if k == 0 else math.cos(2 * math.pi * k / n)
    tangent = 1.0 if 8 * k == n else math.tan(2 * math.pi * k / n)
    u = (w.add_product(a[0], tangent, a[1]), w.add_product(a[1], -tangent, a[0]))
    v = (w.add_product(b[0], -tangent, b[1]), w.add_product(b[1], tangent, b[0]))
    return cosine, u, v


def plus_of(w: Writer, a: Complex, b: Complex) -> Complex:
    return w.add(a[0], b[0]), w.add(a[1], b[1])


def minus_of(w: Writer, a: Complex, b: Complex) -> Complex:
    return w.sub(a[0], b[0]), w.sub(a[1], b[1])


Store = Callable[[int, Complex], None]


def keep(_: int, __: Complex) -> None:
    """Results of inner transforms stay in variables."""


def complex_fft(
    w: Writer, load: Callable[[int], Complex], indices: list[int], store: Store = keep
) -> list[Complex]:
    n = len(indices)
    if n == 1:
        return [load(indices[0])]
    if n == 2:
        a, b = load(indices[0]), load(indices[1])
        return [plus_of(w, a, b), minus_of(w, a, b)]
    even = complex_fft(w, load, indices[0::2])
    plus = complex_fft(w, load, indices[1::4])
    minus = complex_fft(w, load, [indices[(4 * j - 1) % n] for j in range(n // 4)])
    out: list[Complex] = [(None, None)] * n
    for k in range(n // 4):
        c, a, b = twisted_pair(w, plus[k], minus[k], k, n)
        u, v = plus_of(w, a, b), minus_of(w, a, b)
        e, f = even[k], even[k + n // 4]
        for place, value in (
            (k, (w.add_product(e[0], c, u[0]), w.add_product(e[1], c, u[1]))),
            (k + n // 2, (w.add_product(e[0], -c, u[0]), w.add_product(e[1], -c, u[1]))),
            (k + n // 4, (w.add_product(f[0], c, v[1]), w.add_product(f[1], -c, v[0]))),
            (k + 3 * n // 4, (w.add_product(f[0], -c, v[1]), w.add_product(f[1], c, v[0]))),
        ):
            out[place] = value
            store(place, value)
    return out


def real_fft(
    w: Writer, load: Callable[[int], Value], indices: list[int], store: Store = keep
) -> list[Complex]:
    """Bins 0 to n/2; the others follow from X[n-k] = conj X[k]."""
    n = len(indices)
    if n == 1:
        return [(load(indices[0]), None)]
    if n == 2:
        a, b = load(indices[0]), load(indices[1])
        if a is not None and b is None:
            a = Real(w.name(a))  # needed by itself too, so fusing it would save nothing
        return [(w.add(a, b), None), (w.sub(a, b), None)]
    even = real_fft(w, load, indices[0::2])
    plus = real_fft(w, load, indices[1::4])
    minus = real_fft(w, load, [indices[(4 * j - 1) % n] for j in range(n // 4)])
    out: list[Complex] = [(None, None)] * (n // 2 + 1)

    def put(place: int, value: Complex) -> None:
        out[place] = value
        store(place, value)

    total = w.add(plus[0][0], minus[0][0])
    put(0, (w.add(even[0][0], total), None))
    put(n // 2, (w.sub(even[0][0], total), None))
    put(n // 4, (even[n // 4][0], negated(w.sub(plus[0][0], minus[0][0]))))
    for k in range(1, n // 8 + 1):
        c, a, b = twisted_pair(w, plus[k], minus[k], k, n)
        u, e, f = plus_of(w, a, b), even[k], even[n // 4 - k]
        put(k, (w.add_product(e[0], c, u[0]), w.add_product(e[1], c, u[1])))
        put(n // 2 - k, (w.add_product(e[0], -c, u[0]), negated(w.add_product(e[1], -c, u[1]))))
        if 8 * k != n:
            v = minus_of(w, a, b)
            put(n // 4 - k, (w.add_product(f[0], -c, v[1]), w.add_product(f[1], -c, v[0])))
            put(n // 4 + k, (w.add_product(f[0], c, v[1]), negated(w.add_product(f[1], c, v[0]))))
    return out


def real_pass(n: int, used: int) -> str:
    w = Writer()
    loaded: dict[int, Value] = {}

    def load(i: int) -> Value:
        if i >= used:
            return None
        if i not in loaded:
            sample, window = (w.assign(f"{what}(column, {i}, block)") for what in ("sample_of", "window_of"))
            loaded[i] = Real(sample.name, times=window.name)
        return loaded[i]

    def store(k: int, value: Complex) -> None:
        re, im = value
        assert re is not None
        if k == 0 or k == n // 2:
            assert im is None and not re.negative
            w.lines.append(f"    es_store_aligned(column->{'re' if k == 0 else 'middle'}, {re.name});")
            return
        assert im is not None
        w.lines.append(f"    turn(column, {k}, {sign(re)}{re.name}, {sign(im)}{im.name}, block);")

    real_fft(w, load, list(range(n)), store)
    return function(f"real_pass_{n}_{used}", "const es_column *column, const int block", w)


def sign(a: Real) -> str:
    return "-" if a.negative else ""


def complex_pass(n: int) -> str:
    w = Writer()
    loaded: dict[int, Complex] = {}

    def load(i: int) -> Complex:
        if i not in loaded:
            loaded[i] = tuple(w.assign(f"{part}_of(row, {i}, lanes)") for part in ("re", "im"))
        return loaded[i]

    def store(k: int, value: Complex) -> None:
        re, im = value
        assert re is not None and im is not None
        power = f"es_multiply_add({re.name}, {re.name}, {im.name} * {im.name})"
        if k < n // 2:
            w.lines.append(f"    put_up(up + {k} * distance, {power}, lanes);")
        else:
            w.lines.append(f"    put_down(down + {n - k} * distance, {power}, lanes);")

    complex_fft(w, load, list(range(n)), store)
    return function(
        f"complex_pass_{n}",
        "const es_row *row, ptrdiff_t distance, float *up, float *down, const int lanes",
        w,
    )


def function(name: str, parameters: str, w: Writer) -> str:
    return "\n".join([f"static ES_INLINE void {name}({parameters})", "{", *w.lines, "}"])


def text() -> str:
    head = "/* Written by generate_codelets.py; don't edit. What the passes mean is said in fft_kernel.h. */"
    passes = [real_pass(n, used) for n, used in REAL_PASSES] + [complex_pass(n) for n in COMPLEX_PASSES]
    return "\n\n".join([head, *passes]) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if OUTPUT.read_text() == text() else 1
    OUTPUT.write_text(text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
