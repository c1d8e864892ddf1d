"""The systemd unit: what systemd says of it, and whether the daemon bears what it forbids."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from live_parts import FileMicrophone, Service, murmur, wait_for

PACKAGING = Path(__file__).parent.parent / "packaging"
UNIT = PACKAGING / "edge-ser.service"
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    return program


def test_the_exposure_is_at_most_1_5(analyze: str) -> None:
    said = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", UNIT],
        capture_output=True, text=True,
    )  # fmt: skip
    level = re.search(r"Overall exposure level for edge-ser\.service: ([\d.]+)", said.stdout)
    assert level is not None, said.stderr
    assert float(level[1]) <= 1.5
    assert said.returncode == 0


def test_systemd_understands_every_line(analyze: str, tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/edge-ser/bin/edge-ser", "/bin/true"))
    said = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True)
    mine = [line for line in said.stderr.splitlines() if UNIT.name in line]
    assert mine == []


def test_the_guide_names_every_package_that_installing_the_service_asks_for() -> None:
    listing = ["sh", PACKAGING / "require", "--list", "service"]
    packages = set(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split())
    guide = (PACKAGING.parent / "docs" / "raspberry-pi.md").read_text().splitlines()
    stated = next(line for line in guide if "--no-install-recommends" in line).split()
    assert packages <= set(stated)


def test_it_has_what_a_service_with_a_microphone_needs() -> None:
    lines = UNIT.read_text().splitlines()
    for line in ("Type=notify", "DynamicUser=yes", "SupplementaryGroups=audio", "DeviceAllow=char-alsa rw"):
        assert line in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


def test_the_daemon_runs_where_memory_may_not_become_code(
    make_microphone: Callable[..., FileMicrophone],
    start_daemon: Callable[..., Service],
    window_model: Path,
    tmp_path: Path,
) -> None:
    """With a thread for the microphone, Silero, the page and MQTT: everything that calls back from C."""
    probe = (
        "import ctypes, mmap, sys\n"
        f"failed = ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0)\n"
        "if failed: sys.exit(3)\n"
        "try: mmap.mmap(-1, 4096, prot=7)\nexcept OSError: sys.exit(0)\n"
    )
    if subprocess.run([sys.executable, "-c", probe]).returncode:
        pytest.skip("this kernel cannot forbid writable code to a process (Linux 6.3)")
    make_microphone(murmur(3))
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"#!{sys.executable}\nimport ctypes, os, sys\n"
        f"ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0)\n"
        f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n"
    )
    wrapper.chmod(0o755)
    service = start_daemon(
        "--model",
        str(window_model),
        "--heartbeat-s",
        "1",
        "--http",
        "0",
        "--mqtt-host",
        "127.0.0.1",
        python=str(wrapper),
    )
    wait_for(
        lambda: service.records("microphone") and service.records("microphone")[0]["state"] == "listening"
    )
    wait_for(lambda: any(status["counters"]["windows"] > 2 for status in service.records("status")))
    assert service.stop() == 0


def test_a_group_gives_access_to_a_device_within_a_user_namespace(tmp_path: Path) -> None:
    """PrivateUsers with SupplementaryGroups: the group is unmapped in there and still opens it."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    device = tmp_path / "device"
    device.write_text("sound")
    os.chown(device, 0, 29)
    device.chmod(0o640)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    user = ["setpriv", "--reuid=64321", "--regid=64321"]
    inside = ["unshare", "--user", "cat", str(device)]
    with_group = subprocess.run([*user, "--groups=29", *inside], capture_output=True, text=True)
    without = subprocess.run([*user, "--clear-groups", *inside], capture_output=True, text=True)
    assert (with_group.stdout, without.stdout) == ("sound", "")
