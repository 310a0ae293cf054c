"""The document of this machine is valid for the operator's tool."""

import json
import platform
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from polygent_issuer.enforcement import NoMachineInfo, machine, machine_fingerprint, machine_info
from polygent_issuer.enforcement.machine import MachineId
from polygent_issuer.machine_info.document import parse

NOW = datetime(2026, 11, 23, 11, 30, tzinfo=timezone(timedelta(hours=2)))
ID = "0123456789abcdef0123456789abcdef"
IDENTITY = MachineId(machine=ID, board="board-1")


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader returns the same ids, unless the test reads a root folder."""
    read = machine.read_linux
    monkeypatch.setattr(machine, "read_macos", lambda: IDENTITY)
    monkeypatch.setattr(machine, "read_windows", lambda: IDENTITY)
    monkeypatch.setattr(
        machine, "read_linux", lambda root: IDENTITY if root == Path("/") else read(root)
    )


def test_a_document_has_all_known_fields() -> None:
    """Every given or known value is in the document, with the time in UTC."""
    data = machine_info(
        now=NOW,
        customer="Größe & Co",
        product_version="4.2.0",
        hostname="prod-1",
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
    fields = json.loads(machine_info(now=NOW))
    assert "customer" not in fields
    assert "productVersion" not in fields
    assert fields["hostname"] == platform.node()


def test_a_document_does_not_contain_the_raw_id() -> None:
    """Neither the id nor the board appears in any spelling."""
    data = machine_info(now=NOW).decode().lower()
    assert ID not in data
    assert "board-1" not in data
    assert "01234567-89ab-cdef" not in data


def test_linux_reads_files_below_a_root(tmp_path: Path) -> None:
    """The ids of Linux come from the files below a root folder."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(f"{ID}\n")
    info = parse(machine_info(now=NOW, system="Linux", root=tmp_path))
    assert info.fingerprint == IDENTITY.fingerprint


@pytest.mark.parametrize("name", ["Darwin", "Windows"])
def test_each_system_has_its_own_reader(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Readers of macOS and Windows, simulated here, are chosen by the system name."""
    for system, reader in (("Darwin", "read_macos"), ("Windows", "read_windows")):
        ids = MachineId(machine=ID if name == system else ID[::-1])
        monkeypatch.setattr(machine, reader, lambda ids=ids: ids)
    assert machine_fingerprint(system=name) == IDENTITY.fingerprint


def test_this_system_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default `platform.system()`, simulated here, decides."""
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    for act in (machine_fingerprint, lambda: machine_info(now=NOW)):
        with pytest.raises(NoMachineInfo, match="Plan 9") as caught:
            act()
        assert (caught.value.code, caught.value.status) == ("no_machine_id", 503)
        assert caught.value.to_json()["error"]["hint"]


def test_a_fingerprint_is_that_of_the_document() -> None:
    """A server that passes its fingerprint to the license is the machine of its document."""
    assert machine_fingerprint() == parse(machine_info(now=NOW)).fingerprint


def test_a_fingerprint_of_the_servers_own() -> None:
    """A given fingerprint is in the document, and components only if it is made of them."""
    own = parse(machine_info(now=NOW, fingerprint=" SHA256:" + "AB" * 32))
    assert (own.fingerprint, dict(own.components)) == ("sha256:" + "ab" * 32, {})
    same = parse(machine_info(now=NOW, fingerprint=IDENTITY.fingerprint))
    assert (same.fingerprint, same.components) == (IDENTITY.fingerprint, IDENTITY.components)


def test_a_machine_without_an_id_may_have_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    """A server that makes its fingerprint in another way needs no machine id."""
    own = "serial-0123456"
    data = machine_info(now=NOW, fingerprint=own, system="Linux", root=tmp_path)
    assert parse(data).fingerprint == own


@pytest.mark.parametrize("wrong", ["", "short", "with space", "x" * 257])
def test_an_invalid_fingerprint_is_refused(wrong: str) -> None:
    """A fingerprint that the operator's tool would refuse is refused here."""
    with pytest.raises(NoMachineInfo, match="fingerprint must be") as refused:
        machine_info(now=NOW, fingerprint=wrong)
    assert refused.value.code == "invalid_machine_info"


def test_a_naive_time_is_refused() -> None:
    """The time of a document is aware."""
    with pytest.raises(ValueError, match="aware"):
        machine_info(now=NOW.replace(tzinfo=None))


def test_a_machine_without_an_id_has_no_document(tmp_path: Path) -> None:
    """A machine without an id raises `no_machine_id`."""
    with pytest.raises(NoMachineInfo):
        machine_info(now=NOW, system="Linux", root=tmp_path)


@pytest.mark.parametrize("wrong", ["\x1b[31m", "a\u202eb", "x" * 201, "\udc80"])
@pytest.mark.parametrize("name", ["customer", "product_version", "hostname"])
def test_invalid_names_are_refused(name: str, wrong: str) -> None:
    """A name that `parse` would refuse is refused, and not repeated."""
    given = {name: wrong}
    with pytest.raises(NoMachineInfo, match="the machine-info document is invalid") as refused:
        machine_info(now=NOW, **given)  # type: ignore[arg-type]
    assert refused.value.code == "invalid_machine_info"
    assert wrong not in refused.value.message


@pytest.mark.parametrize("node", ["", "\x1b[31m", " "])
def test_an_invalid_host_name_is_omitted(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """An invalid host name of the system, simulated here, causes no error."""
    monkeypatch.setattr(platform, "node", lambda: node)
    assert parse(machine_info(now=NOW)).hostname is None


def test_customer_is_written_composed() -> None:
    """The customer name is trimmed and in NFC."""
    data = machine_info(now=NOW, customer=" Mu\u0308ller ")
    assert json.loads(data)["customer"] == "M\u00fcller"
