"""Builds edge_ser._native, the Cython binding of the C front end; all metadata is in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ABI = "0x030B0000"  # CPython 3.11's stable ABI: one wheel serves every later version

native = Extension(
    "edge_ser._native",
    sources=["native/_native.pyx", *sorted(str(path) for path in Path("native/src").glob("*.c"))],
    include_dirs=["native/include", "native/src"],
    depends=[str(path) for pattern in ("include/*.h", "src/*.h") for path in Path("native").glob(pattern)],
    define_macros=[("Py_LIMITED_API", ABI), ("CYTHON_LIMITED_API", "1")],
    # Products may fuse with sums, as ISO mode would not allow. No -ffast-math: in a shared object it switches
    # denormals off for the whole process.
    extra_compile_args=[
        "-std=c11",
        "-O3",
        "-ffp-contract=fast",
        "-fno-math-errno",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
    ],
    py_limited_api=True,
)

setup(
    ext_modules=cythonize([native], language_level=3),
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
