"""Keyed hashes of ids, and the rules for valid ids."""

import hashlib
import hmac

import pytest

from polygent_issuer.enforcement.machine import MachineId, board_id, plain_id
from polygent_issuer.verifier.license import canonical_fingerprint

ID = "0123456789abcdef0123456789abcdef"


def test_fingerprint_is_a_keyed_hash() -> None:
    """The hash is HMAC-SHA256 with the id as key. It is fixed, since licenses are bound to it."""
    message = b"polygent machine info 1: fingerprint"
    expected = "20a05fc1de1aba06abe663a1cc3cc7e82d02a21808f28c7d5373854f6a537af1"
    assert hmac.new(ID.encode(), message, hashlib.sha256).hexdigest() == expected
    assert MachineId(machine=ID).fingerprint == f"sha256:{expected}"


def test_fingerprint_is_canonical() -> None:
    """The fingerprint is in the canonical form of FORMAT §4."""
    fingerprint = MachineId(machine=ID).fingerprint
    assert canonical_fingerprint(fingerprint) == fingerprint


def test_board_does_not_change_the_fingerprint() -> None:
    """An ordinary user, who cannot read the board, gets the same fingerprint as root."""
    plain, full = MachineId(machine=ID), MachineId(machine=ID, board="b-1")
    assert plain.fingerprint == full.fingerprint
    assert plain.components.keys() == {"machineId"}
    assert full.components.keys() == {"machineId", "board"}
    assert plain.components["machineId"] == full.components["machineId"]


def test_every_hash_is_different() -> None:
    """Hashes of equal ids for different purposes are different."""
    same = MachineId(machine=ID, board=ID)
    assert len({same.fingerprint, *same.components.values()}) == 3
    other = MachineId(machine=ID[::-1], board="b")
    assert not {same.fingerprint, *same.components.values()} & {
        other.fingerprint,
        *other.components.values(),
    }


def test_id_is_in_no_repr() -> None:
    """The raw id does not appear in a traceback."""
    assert ID not in repr(MachineId(machine=ID, board=ID))


@pytest.mark.parametrize(
    "text",
    [ID, f"{ID}\n", ID.upper(), "01234567-89ab-cdef-0123-456789abcdef", f" {{{ID}}}\r\n"],
)
def test_spellings_of_an_id_are_equal(text: str) -> None:
    """Plain digits, a UUID, any case, braces and a line end give the same id."""
    assert plain_id(text) == ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "0" * 32,
        "f" * 32,
        "F" * 32,
        ID[:-1],
        f"{ID}0",
        f"{ID}\n{ID}",
        "uninitialized",
        "g" + ID[1:],
        "00000000-0000-0000-0000-000000000000",
        "\u0661" + ID[1:],
        ID[:16] + " " + ID[16:],
    ],
)
def test_an_invalid_id_is_refused(text: str) -> None:
    """Empty, all zeros, all F, too short, too long and not hexadecimal ids are refused."""
    assert plain_id(text) is None


def test_the_first_valid_board_is_used() -> None:
    """Placeholders of firmware are skipped in any spelling."""
    assert board_id(None, "", "To Be Filled By O.E.M.", " {AB-12} \n", "second") == "ab-12"


@pytest.mark.parametrize(
    "placeholder",
    [
        "",
        " ",
        "Default string",
        "None",
        "Not Specified",
        "0",
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "N/A",
        "Base Board Serial Number",
        "xxxxxxx",
        "...............",
    ],
)
def test_placeholders_are_not_a_board(placeholder: str) -> None:
    """A text that thousands of machines share is not a board id."""
    assert board_id(placeholder) is None
