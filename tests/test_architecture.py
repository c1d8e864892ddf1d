"""The arrows of docs/architecture.md never turn back, and the README states what the set-up needs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "edge_ser": {"train", "convert", "keras", "scipy"},
    "train": {"convert"},
    "convert": set(),
}


INNER = ("edge_ser.cli", "edge_ser.live")


def imported_packages(source: Path) -> set[str]:
    """Top-level names that a file imports, and the inner rooms of edge_ser by their full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            names.add(module.split(".")[0])
            names.update(room for room in INNER if f"{module}.".startswith(f"{room}."))
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may_know(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        found = imported_packages(file)
        assert not found & FORBIDDEN[room], f"{file.relative_to(ROOT)} imports {found & FORBIDDEN[room]}"
        if "cli" not in file.parts and file.name != "__main__.py":
            assert "edge_ser.cli" not in found, f"{file.relative_to(ROOT)} imports the command line"


def test_nothing_on_the_device_but_the_command_line_knows_the_live_side() -> None:
    names = {"__init__.py"}  # names edge_ser.Stream for type checkers, and imports it when it is asked for
    files = [file for file in (ROOT / "edge_ser").glob("*.py") if file.name not in names]
    assert files
    for file in files:
        assert "edge_ser.live" not in imported_packages(file), f"{file.name} imports the live side"


def test_the_wheel_holds_every_room_of_edge_ser() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {file.parent.relative_to(ROOT) for file in (ROOT / "edge_ser").rglob("*.py")}
    assert set(packages) == {".".join(room.parts) for room in rooms}


def test_only_the_runtime_adapter_knows_tensorflow_on_the_device() -> None:
    knowing = {
        file.name for file in (ROOT / "edge_ser").rglob("*.py") if "tensorflow" in imported_packages(file)
    }
    assert knowing <= {"runtime.py"}


def test_native_code_includes_nothing_of_python() -> None:
    files = [file for folder in ("include", "src") for file in (ROOT / "native" / folder).glob("*.[ch]")]
    assert files
    for file in files:
        assert "Python.h" not in file.read_text(), file


def test_importing_edge_ser_imports_no_numpy() -> None:
    code = "import sys, edge_ser; print(sorted({'numpy', 'soundfile', 'tensorflow'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["run", "test"])
def test_the_readme_states_the_packages_that_the_set_up_asks_for(command: str) -> None:
    listing = subprocess.run(
        ["sh", "packaging/require", "--list", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    packages = set(listing.stdout.split())
    lines = (ROOT / "README.md").read_text().splitlines()
    stated = [
        set(line.split("--no-install-recommends ")[1].split()) for line in lines if "apt-get install" in line
    ]
    assert any(packages <= line for line in stated), f"README.md lacks {sorted(packages)}"
