"""The document of this machine is valid."""

import json
import platform
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from polygent_issuer.enforcement import machine as machine_id
from polygent_issuer.enforcement.machine import MachineId
from polygent_issuer.errors import ExitCode, InvalidMachineInfo
from polygent_issuer.machine_info.document import parse
from polygent_issuer.machine_info.this_machine import NoMachineId, describe

NOW = datetime(2026, 11, 23, 11, 30, tzinfo=timezone(timedelta(hours=2)))
ID = "0123456789abcdef0123456789abcdef"
IDENTITY = MachineId(machine=ID, board="board-1")


def test_a_document_has_all_known_fields() -> None:
    """Every given or known value is in the document, with the time in UTC."""
    data = describe(
        now=NOW,
        customer="Größe & Co",
        product_version="4.2.0",
        hostname="prod-1",
        read=lambda: IDENTITY,
    )
    info = parse(data)
    assert info.format == "polygent-machine-info/1"
    assert info.fingerprint == IDENTITY.fingerprint
    assert info.components == IDENTITY.components
    assert info.generated_at == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert (info.customer, info.product_version) == ("Größe & Co", "4.2.0")
    assert (info.hostname, info.os) == ("prod-1", f"{platform.system()} {platform.release()}")
    assert info.extra == ()
    assert "Größe".encode() in data
    assert data.endswith(b"}\n")


def test_a_document_omits_unknown_fields() -> None:
    """A value that was not given is absent; the host name is the system's."""
    fields = json.loads(describe(now=NOW, read=lambda: IDENTITY))
    assert "customer" not in fields
    assert "productVersion" not in fields
    assert fields["hostname"] == platform.node()


def test_a_document_does_not_contain_the_raw_id() -> None:
    """Neither the id nor the board appears in any spelling."""
    data = describe(now=NOW, read=lambda: IDENTITY).decode().lower()
    assert ID not in data
    assert "board-1" not in data
    assert "01234567-89ab-cdef" not in data


def test_linux_reads_files_below_a_root(tmp_path: Path) -> None:
    """The ids of Linux come from the files below a root folder."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(f"{ID}\n")
    info = parse(describe(now=NOW, system="Linux", root=tmp_path))
    assert info.fingerprint == IDENTITY.fingerprint


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_each_system_has_its_own_reader(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """Readers of macOS and Windows, simulated here, are chosen by the system name."""
    for name, reader in (("Darwin", "read_macos"), ("Windows", "read_windows")):
        machine = MachineId(machine=ID if name == system else ID[::-1])
        monkeypatch.setattr(machine_id, reader, lambda machine=machine: machine)
    assert parse(describe(now=NOW, system=system)).fingerprint == IDENTITY.fingerprint


def test_this_system_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default `platform.system()`, simulated here, decides."""
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    with pytest.raises(NoMachineId, match="Plan 9") as caught:
        describe(now=NOW)
    assert caught.value.exit_code is ExitCode.INPUT


def test_a_machine_without_an_id_has_no_document(tmp_path: Path) -> None:
    """A machine without an id raises `no_machine_id`."""
    with pytest.raises(NoMachineId):
        describe(now=NOW, system="Linux", root=tmp_path)


@pytest.mark.parametrize("wrong", ["\x1b[31m", "a\u202eb", "x" * 201, "\udc80"])
def test_invalid_names_are_refused(wrong: str) -> None:
    """A name that `parse` would refuse is refused."""
    with pytest.raises(InvalidMachineInfo):
        describe(now=NOW, customer=wrong, read=lambda: IDENTITY)
    with pytest.raises(InvalidMachineInfo):
        describe(now=NOW, hostname=wrong, read=lambda: IDENTITY)


@pytest.mark.parametrize("node", ["", "\x1b[31m", " "])
def test_an_invalid_host_name_is_omitted(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """An invalid host name of the system, simulated here, causes no error."""
    monkeypatch.setattr(platform, "node", lambda: node)
    assert parse(describe(now=NOW, read=lambda: IDENTITY)).hostname is None


def test_customer_is_written_composed() -> None:
    """The customer name is trimmed and in NFC."""
    data = describe(now=NOW, customer=" Mu\u0308ller ", read=lambda: IDENTITY)
    assert json.loads(data)["customer"] == "M\u00fcller"
