"""The document of this machine is one that we accept."""

import json
import platform
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from polygent_issuer.errors import ExitCode, InvalidMachineInfo
from polygent_issuer.machine_info import machine_id
from polygent_issuer.machine_info.document import parse
from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId
from polygent_issuer.machine_info.this_machine import describe

NOW = datetime(2026, 11, 23, 11, 30, tzinfo=timezone(timedelta(hours=2)))
ID = "0123456789abcdef0123456789abcdef"
IDENTITY = MachineId(machine=ID, board="board-1")


def test_document() -> None:
    """Everything that was given or can be known stands in it, in UTC."""
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


def test_least_document() -> None:
    """What nobody gave is not in it; the host's name is the system's."""
    fields = json.loads(describe(now=NOW, read=lambda: IDENTITY))
    assert "customer" not in fields
    assert "productVersion" not in fields
    assert fields["hostname"] == platform.node()


def test_raw_id_never_leaves() -> None:
    """Neither the id nor the board occurs in any spelling."""
    data = describe(now=NOW, read=lambda: IDENTITY).decode().lower()
    assert ID not in data
    assert "board-1" not in data
    assert "01234567-89ab-cdef" not in data


def test_linux(tmp_path: Path) -> None:
    """From the files below a root."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(f"{ID}\n")
    info = parse(describe(now=NOW, system="Linux", root=tmp_path))
    assert info.fingerprint == IDENTITY.fingerprint


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """On macOS and Windows their own way is taken; fake here: those two functions."""
    for name, reader in (("Darwin", "read_macos"), ("Windows", "read_windows")):
        machine = MachineId(machine=ID if name == system else ID[::-1])
        monkeypatch.setattr(machine_id, reader, lambda machine=machine: machine)
    assert parse(describe(now=NOW, system=system)).fingerprint == IDENTITY.fingerprint


def test_this_system_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name, what Python says of the system decides; fake here: that word."""
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    with pytest.raises(NoMachineId, match="Plan 9") as caught:
        describe(now=NOW)
    assert caught.value.exit_code is ExitCode.INPUT


def test_no_id_is_said(tmp_path: Path) -> None:
    """A machine without id gets no document."""
    with pytest.raises(NoMachineId):
        describe(now=NOW, system="Linux", root=tmp_path)


@pytest.mark.parametrize("wrong", ["\x1b[31m", "a\u202eb", "x" * 201, "\udc80"])
def test_names_that_no_document_may_hold(wrong: str) -> None:
    """What `parse` would refuse is refused here already."""
    with pytest.raises(InvalidMachineInfo):
        describe(now=NOW, customer=wrong, read=lambda: IDENTITY)
    with pytest.raises(InvalidMachineInfo):
        describe(now=NOW, hostname=wrong, read=lambda: IDENTITY)


@pytest.mark.parametrize("node", ["", "\x1b[31m", " "])
def test_host_that_cannot_be_shown_is_left_out(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """The system's own word is no reason to fail; fake here: the host's name."""
    monkeypatch.setattr(platform, "node", lambda: node)
    assert parse(describe(now=NOW, read=lambda: IDENTITY)).hostname is None


def test_customer_is_written_composed() -> None:
    """NFC and trimmed, as the issuer writes names."""
    data = describe(now=NOW, customer=" Mu\u0308ller ", read=lambda: IDENTITY)
    assert json.loads(data)["customer"] == "M\u00fcller"
