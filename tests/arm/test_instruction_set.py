"""The check of built objects against a baseline finds what is beyond it, and only that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "packaging"))

from instruction_set import check

SOURCE = """
#include <math.h>
float logarithm(const float *a, const float *b, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return logf(sum);
}
void round_up(float *a, int n) { for (int i = 0; i < n; i++) a[i] = ceilf(a[i]); }
int choose(int x, int y)
{
    switch (x) { case 0: return y * 3; case 1: return y / 7; case 2: return 19; case 3: return y % x; case
    4: return 5; } return y ? x : 3;
}
"""


@pytest.fixture
def compiled(tmp_path):
    """A function that compiles SOURCE with given flags to an object of a given name."""
    (tmp_path / "source.c").write_text(SOURCE)

    def compile_with(*flags: str, name: str = "source.o") -> Path:
        file = tmp_path / name
        command = ["cc", "-O3", "-fno-math-errno", *flags, "-c", "-o", file, tmp_path / "source.c"]
        subprocess.run(command, check=True)
        return file

    return compile_with


@pytest.mark.skipif(
    sys.platform != "linux" or not Path("/lib64/ld-linux-x86-64.so.2").exists(), reason="x86-64 only"
)
class TestOnX86:
    def test_code_for_the_baseline_passes(self, compiled):
        assert check(compiled("-march=x86-64"), "x86_64") > 40

    def test_one_function_beyond_the_baseline_is_named(self, compiled):
        with pytest.raises(SystemExit, match=r"beyond the baseline of x86_64:\n  round_up: roundss"):
            check(compiled("-msse4.1"), "x86_64")

    def test_objects_that_are_chosen_at_run_time_are_exempt(self, compiled):
        assert check(compiled("-mavx2", name="kernel_avx2.o"), "x86_64") == 0
        with pytest.raises(SystemExit, match="beyond the baseline"):
            check(compiled("-mavx2", name="fft.o"), "x86_64")
