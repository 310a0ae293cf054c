"""Machine ids on Windows, with a simulated Windows registry or `winreg` module."""

import contextlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from polygent_issuer.enforcement import machine as machine_id
from polygent_issuer.enforcement.machine import MachineId, NoMachineInfo

GUID = "5f0a1b2c-3d4e-4f60-8172-93a4b5c6d7e8"
MACHINE = (r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")
BOARD = (r"SYSTEM\HardwareConfig", "LastConfig")


def registry(**values: str | None) -> dict[tuple[str, str], str | None]:
    """Return a registry with two values."""
    return {MACHINE: values.get("machine"), BOARD: values.get("board")}


def test_the_machine_guid_and_the_hardware_are_read() -> None:
    """MachineGuid is the machine id, the firmware's UUID the board id."""
    values = registry(machine=GUID, board="{4C4C4544-0042-3510-8052-B4C04F4D4D32}")
    assert machine_id.read_windows(lambda key, name: values[key, name]) == MachineId(
        machine=GUID.replace("-", ""), board="4c4c4544-0042-3510-8052-b4c04f4d4d32"
    )


def test_a_missing_board_is_accepted() -> None:
    """The board is optional."""
    values = registry(machine=GUID)
    assert machine_id.read_windows(lambda key, name: values[key, name]).board is None


@pytest.mark.parametrize("guid", [None, "", "x", "00000000-0000-0000-0000-000000000000"])
def test_a_missing_guid_is_refused(guid: str | None) -> None:
    """Without a valid MachineGuid the error has the command that shows it."""
    values = registry(machine=guid)
    with pytest.raises(NoMachineInfo, match="MachineGuid") as caught:
        machine_id.read_windows(lambda key, name: values[key, name])
    assert "reg query HKLM" in str(caught.value.hint)


def test_other_systems_have_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system no value is returned, and winreg is not imported."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert machine_id.registry_value(*MACHINE) is None


@contextlib.contextmanager
def opened_key(hive: int, key: str, reserved: int, access: int) -> Iterator[str]:
    """Open a key like winreg in the 64-bit view of HKEY_LOCAL_MACHINE."""
    assert (hive, reserved, access) == (0x80000002, 0, 0x20119)
    yield key


@pytest.mark.parametrize(
    ("stored", "value"), [((GUID, 1), GUID), ((b"\x01", 3), None), ((7, 4), None), (None, None)]
)
def test_registry_is_read(
    monkeypatch: pytest.MonkeyPatch, stored: tuple[object, int] | None, value: str | None
) -> None:
    """Values come from the 64-bit view of HKEY_LOCAL_MACHINE; only strings count."""

    def query(key: str, name: str) -> tuple[object, int]:
        assert (key, name) == MACHINE
        if stored is None:
            raise FileNotFoundError
        return stored

    fake = SimpleNamespace(
        HKEY_LOCAL_MACHINE=0x80000002,
        KEY_READ=0x20019,
        KEY_WOW64_64KEY=0x100,
        OpenKey=opened_key,
        QueryValueEx=query,
    )
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "winreg", fake)
    assert machine_id.registry_value(*MACHINE) == value
