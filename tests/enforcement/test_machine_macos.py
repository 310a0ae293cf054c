"""Machine ids on macOS, with a simulated `ioreg` that prints made-up numbers."""

import stat
from pathlib import Path

import pytest

from polygent_issuer.enforcement import machine as machine_id
from polygent_issuer.enforcement.machine import MachineId, NoMachineInfo

IOREG = """\
+-o J314sAP  <class IOPlatformExpertDevice, id 0x100000227, registered, matched, active, busy 0>
    {
      "IOPolledInterface" = "AppleARMWatchdogTimerHibernateHandler is not serializable"
      "IOPlatformUUID" = "A8B6C1D2-3E4F-5061-7283-94A5B6C7D8E9"
      "serial-number" = <433032>
      "IOPlatformSerialNumber" = "C02XK0AAJG5H"
      "model" = <"MacBookPro18,3">
    }

"""


def test_the_platform_uuid_and_the_serial_number_are_read() -> None:
    """The platform UUID is the machine id, the serial number the board id."""
    expected = MachineId(machine="a8b6c1d23e4f5061728394a5b6c7d8e9", board="c02xk0aajg5h")
    assert machine_id.read_macos(lambda: IOREG) == expected


def test_a_missing_serial_number_is_accepted() -> None:
    """A virtual machine may have no serial number."""
    lines = (line for line in IOREG.splitlines() if "SerialNumber" not in line)
    assert machine_id.read_macos(lambda: "\n".join(lines)).board is None


@pytest.mark.parametrize(
    "output", ["", "garbage", '"IOPlatformUUID" = ""', IOREG.replace("UUID", "U")]
)
def test_a_missing_uuid_is_refused(output: str) -> None:
    """Without a valid UUID the error has the command that shows the output."""
    with pytest.raises(NoMachineInfo, match="IOPlatformUUID") as caught:
        machine_id.read_macos(lambda: output)
    assert "/usr/sbin/ioreg -rd1" in str(caught.value.hint)


def script(folder: Path, body: str) -> tuple[str, ...]:
    """Write a program in place of ioreg."""
    path = folder / "ioreg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path), "-rd1")


def test_ioreg_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output of ioreg is decoded as UTF-8, also if it is invalid."""
    monkeypatch.setattr(machine_id, "_IOREG", script(tmp_path, "printf 'x\\377 %s' $1"))
    assert machine_id.run_ioreg() == "x\ufffd -rd1"


@pytest.mark.parametrize("body", ["exit 1", "kill -9 $$", "exec sleep 60"])
def test_a_failed_ioreg_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A program that fails, dies or hangs raises our error."""
    monkeypatch.setattr(machine_id, "_IOREG", script(tmp_path, body))
    monkeypatch.setattr(machine_id, "_IOREG_SECONDS", 0.2)
    with pytest.raises(NoMachineInfo, match="ioreg failed"):
        machine_id.run_ioreg()


def test_a_missing_ioreg_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without ioreg raises our error."""
    monkeypatch.setattr(machine_id, "_IOREG", (str(tmp_path / "ioreg"),))
    with pytest.raises(NoMachineInfo, match="ioreg failed"):
        machine_id.run_ioreg()
