"""The C library on its own: its tests under sanitizers, its build, its example, and Cortex-M firmware."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_ser import Frontend

NATIVE = Path(__file__).parent.parent / "native"

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None, reason="no C compiler or no make"
)


def make(build: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(NATIVE), f"BUILD={build}", *arguments], capture_output=True, text=True
    )


def has_sanitizers(folder: Path) -> bool:
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    command = ["cc", "-fsanitize=address,undefined", str(source), "-o", str(folder / "empty")]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_the_codelets_are_what_the_generator_writes() -> None:
    subprocess.run([sys.executable, str(NATIVE / "generate_codelets.py"), "--check"], check=True)


def test_the_c_tests_pass_under_the_sanitizers(tmp_path: Path) -> None:
    if not has_sanitizers(tmp_path):
        pytest.skip("the C compiler has no AddressSanitizer")
    done = make(tmp_path, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "memory: ok" in done.stdout
    assert "in place: ok" in done.stdout
    assert "fft: ok" in done.stdout


def test_the_example_prints_what_python_computes(tmp_path: Path) -> None:
    done = make(
        tmp_path, "CFLAGS=-O1", f"{tmp_path}/mfcc", f"{tmp_path}/libedge_ser.so", f"{tmp_path}/edge_ser.pc"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pcm = (np.random.default_rng(3).standard_normal(5000) * 3000).astype("<i2")
    printed = subprocess.run(
        [str(tmp_path / "mfcc")], input=pcm.tobytes(), capture_output=True, check=True
    ).stdout
    rows = np.array([line.split() for line in printed.decode().splitlines()], np.float32)
    assert rows == pytest.approx(Frontend().process(pcm.astype(np.float32) / 32768), abs=1e-3)
    assert "Libs: -L${libdir} -ledge_ser" in (tmp_path / "edge_ser.pc").read_text()


def test_the_shared_library_shows_its_header_and_nothing_else(tmp_path: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    assert make(tmp_path, "CFLAGS=-O0", f"{tmp_path}/libedge_ser.so").returncode == 0
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(tmp_path / "libedge_ser.so")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    header = (NATIVE / "include" / "edge_ser.h").read_text()
    names = [line.split()[-1] for line in listing.splitlines()]
    assert "es_process" in names
    assert all(f"{name}(" in header for name in names), names


def test_the_library_compiles_for_cortex_m_without_a_heap(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    done = make(tmp_path, "firmware")
    assert done.returncode == 0, done.stdout + done.stderr
    undefined = subprocess.run(
        ["arm-none-eabi-nm", "-u", *map(str, (tmp_path / "m4").glob("*.o"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "malloc" not in undefined
    assert "printf" not in undefined
