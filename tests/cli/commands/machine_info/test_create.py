"""`polygent-issue machine-info create`: the document of this machine.

The machine is real wherever it has an id; on one that has none (some containers) `machine` gives
this process one, below the command, and the test of the error does the opposite. Whether this is a
container does not matter: the warning is looked for on a root that the test lays out.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.cli.commands.machine_info import describe
from polygent_issuer.enforcement import machine as machine_id
from polygent_issuer.enforcement.machine import MachineId, NoMachineInfo
from polygent_issuer.errors import ExitCode, InputRefused, InvalidMachineInfo
from polygent_issuer.machine_info.document import parse

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
IMAGE_ID_WARNING = machine_id.image_id_warning


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> MachineId:
    """Return this machine's ids, or invented ones; outside a container."""
    monkeypatch.setattr(machine_id, "image_id_warning", lambda: None)
    try:
        return machine_id.read_linux(Path("/"))
    except NoMachineInfo:
        invented = MachineId(machine="5f0c6f0e7b8d4b7e9a370d0c3f1d2b11")
        monkeypatch.setattr(machine_id, "read_linux", lambda _root: invented)
        return invented


def test_a_container_is_warned_of(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the document is created with a warning on stderr."""
    (empty_desk.folder / ".dockerenv").touch()
    (empty_desk.folder / "etc").mkdir()
    (empty_desk.folder / "etc/machine-id").write_text("5f0c6f0e7b8d4b7e9a370d0c3f1d2b11\n")
    monkeypatch.setattr(
        machine_id,
        "image_id_warning",
        lambda: IMAGE_ID_WARNING(system="Linux", root=empty_desk.folder),
    )
    outcome = empty_desk.ok("machine-info", "create")
    parse(outcome.out)
    assert outcome.err.startswith("warning: this is a container and /etc/machine-id is not mounted")


def test_stdout_has_only_the_document(empty_desk: Desk, machine: MachineId) -> None:
    """Messages go to stderr; no home is needed or created."""
    outcome = empty_desk.ok("machine-info", "create")
    info = parse(outcome.out)
    assert info.fingerprint == machine.fingerprint
    assert info.generated_at == empty_desk.now
    assert dict(info.components) == machine.components
    assert outcome.err.startswith("created the machine-info document of this machine\n")
    assert not empty_desk.home.exists()


def test_options_are_written_into_the_document(empty_desk: Desk) -> None:
    """Customer and version are written; `-` is stdout, `--quiet` suppresses messages."""
    options = ("--customer", "Acme GmbH", "--product-version", "4.2", "-o", "-", "--quiet")
    outcome = empty_desk.ok("machine-info", "create", *options)
    info = parse(outcome.out)
    assert (info.customer, info.product_version) == ("Acme GmbH", "4.2")
    assert outcome.err == ""


def test_the_machine_id_is_not_disclosed(empty_desk: Desk, machine: MachineId) -> None:
    """Only keyed hashes of the id are in the document and the output."""
    outcome = empty_desk.ok("machine-info", "create")
    message = outcome.text + outcome.err
    assert machine.machine.replace("-", "") not in message.replace("-", "")
    assert machine.board is None or machine.board not in message


def test_an_existing_file_is_not_overwritten(empty_desk: Desk) -> None:
    """The path of a new file is printed; an existing one is never overwritten."""
    target = empty_desk.folder / "m.json"
    outcome = empty_desk.ok("machine-info", "create", "--output", str(target))
    info = parse(target.read_bytes())
    assert f"  file         {target}\n" in outcome.text
    assert f"  fingerprint  {info.fingerprint}\n" in outcome.text
    assert outcome.err == ""
    before = target.read_bytes()
    again = empty_desk.run("machine-info", "create", "--output", str(target), "--customer", "B")
    assert again.code == 8
    assert "hint: choose another file with --output\n" in again.err
    assert target.read_bytes() == before


def test_a_folder_gets_the_products_name(empty_desk: Desk) -> None:
    """In a folder the file has the name that the product uses."""
    empty_desk.ok("machine-info", "create", "-o", str(empty_desk.folder))
    parse((empty_desk.folder / "machine-info.json").read_bytes())


def test_json_has_the_document(empty_desk: Desk, machine: MachineId) -> None:
    """Without a file JSON has the document, with one its path, too."""
    result = empty_desk.ok("machine-info", "create", "--json").json
    assert result["file"] is None
    assert result["machine_info"]["fingerprint"] == machine.fingerprint
    target = empty_desk.folder / "m.json"
    result = empty_desk.ok("machine-info", "create", "--json", "-o", str(target)).json
    assert result["file"] == str(target)
    assert result["machine_info"] == json.loads(target.read_bytes())


def test_json_and_stdout_are_mutually_exclusive(empty_desk: Desk) -> None:
    """`--json` and `-` are exit 2."""
    outcome = empty_desk.run("machine-info", "create", "--json", "-o", "-")
    assert (outcome.code, outcome.json["error"]["code"]) == (2, "usage")


def test_check_and_sign_accept_the_document(desk: Desk) -> None:
    """A created document passes `check` and `sign`."""
    path = str(desk.folder / "m.json")
    desk.ok("machine-info", "create", "-o", path, "--customer", "Acme GmbH")
    assert desk.ok("machine-info", "check", path, "--json").json["fresh"] is True
    desk.ok("sign", "--machine-info", path)


def test_an_invalid_name_is_refused(empty_desk: Desk) -> None:
    """An invalid name is exit 3, and nothing is written."""
    target = empty_desk.folder / "m.json"
    outcome = empty_desk.run("machine-info", "create", "--customer", "a\x1bb", "-o", str(target))
    assert outcome.code == 3
    assert "\x1b" not in outcome.err
    assert not target.exists()


def test_a_machine_without_an_id_is_an_error(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is exit 3, as in a container; an empty root simulates it."""
    read = machine_id.read_linux
    monkeypatch.setattr(machine_id, "read_linux", lambda _root: read(empty_desk.folder))
    outcome = empty_desk.run("machine-info", "create", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (3, "no_machine_id")
    assert outcome.json["error"]["hint"]


def test_a_machine_without_an_id_is_a_refused_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code, message and hint are those of the server."""

    def nowhere(_system: str, _root: object) -> MachineId:
        raise NoMachineInfo("no id", hint="make one")

    monkeypatch.setattr(machine_id, "_identity", nowhere)
    with pytest.raises(InputRefused, match="no id") as refused:
        describe(now=NOW, customer=None, product_version=None)
    assert (refused.value.code, refused.value.hint) == ("no_machine_id", "make one")
    assert refused.value.exit_code is ExitCode.INPUT


def test_an_invalid_name_is_an_invalid_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not allowed has the code of a document that violates FORMAT."""
    ids = MachineId(machine="0123456789abcdef0123456789abcdef")
    monkeypatch.setattr(machine_id, "_identity", lambda _system, _root: ids)
    with pytest.raises(InvalidMachineInfo) as refused:
        describe(now=NOW, customer="\x1b", product_version=None)
    assert refused.value.code == "invalid_machine_info"
