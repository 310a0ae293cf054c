"""The command's errors of this machine's document are those of the tool."""

from datetime import UTC, datetime

import pytest

from polygent_issuer.enforcement import NoMachineInfo, machine
from polygent_issuer.errors import ExitCode, InvalidMachineInfo
from polygent_issuer.machine_info.this_machine import NoMachineId, describe

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def test_a_machine_without_an_id_is_a_refused_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code, message and hint are those of the server."""

    def nowhere(_system: str, _root: object) -> machine.MachineId:
        raise NoMachineInfo("no id", hint="make one")

    monkeypatch.setattr(machine, "_identity", nowhere)
    with pytest.raises(NoMachineId, match="no id") as refused:
        describe(now=NOW)
    assert (refused.value.code, refused.value.hint) == ("no_machine_id", "make one")
    assert refused.value.exit_code is ExitCode.INPUT


def test_an_invalid_name_is_an_invalid_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not allowed has the code of a document that violates FORMAT."""
    ids = machine.MachineId(machine="0123456789abcdef0123456789abcdef")
    monkeypatch.setattr(machine, "_identity", lambda _system, _root: ids)
    with pytest.raises(InvalidMachineInfo):
        describe(now=NOW, customer="\x1b")
