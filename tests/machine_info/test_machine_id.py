"""Keyed hashes of ids; what counts as an id."""

import hashlib
import hmac

import pytest

from polygent_issuer.machine_info.machine_id import MachineId, board_id, plain_id
from polygent_issuer.verifier.license import canonical_fingerprint

ID = "0123456789abcdef0123456789abcdef"


def test_fingerprint_is_a_keyed_hash() -> None:
    """HMAC-SHA256 keyed with the id over our constant; frozen, since licenses are bound to it."""
    message = b"polygent machine info 1: fingerprint"
    expected = "20a05fc1de1aba06abe663a1cc3cc7e82d02a21808f28c7d5373854f6a537af1"
    assert hmac.new(ID.encode(), message, hashlib.sha256).hexdigest() == expected
    assert MachineId(machine=ID).fingerprint == f"sha256:{expected}"


def test_fingerprint_is_canonical() -> None:
    """FORMAT §4: it is its own canonical form."""
    fingerprint = MachineId(machine=ID).fingerprint
    assert canonical_fingerprint(fingerprint) == fingerprint


def test_board_does_not_change_the_fingerprint() -> None:
    """An ordinary user cannot read the board; she gets the same fingerprint as root."""
    plain, full = MachineId(machine=ID), MachineId(machine=ID, board="b-1")
    assert plain.fingerprint == full.fingerprint
    assert plain.components.keys() == {"machineId"}
    assert full.components.keys() == {"machineId", "board"}
    assert plain.components["machineId"] == full.components["machineId"]


def test_every_hash_is_another() -> None:
    """Nobody can tell one hash from another, even of equal ids."""
    same = MachineId(machine=ID, board=ID)
    assert len({same.fingerprint, *same.components.values()}) == 3
    other = MachineId(machine=ID[::-1], board="b")
    assert not {same.fingerprint, *same.components.values()} & {
        other.fingerprint,
        *other.components.values(),
    }


def test_id_is_in_no_repr() -> None:
    """The raw id must not leave the machine by way of a traceback."""
    assert ID not in repr(MachineId(machine=ID, board=ID))


@pytest.mark.parametrize(
    "text",
    [ID, f"{ID}\n", ID.upper(), "01234567-89ab-cdef-0123-456789abcdef", f" {{{ID}}}\r\n"],
)
def test_ids(text: str) -> None:
    """Plain or as UUID, any case, braces, a line end: one and the same id."""
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
def test_what_is_no_id(text: str) -> None:
    """Empty, all zero, all F, too short, too long, not hexadecimal."""
    assert plain_id(text) is None


def test_first_board_that_says_something() -> None:
    """Placeholders of firmware are passed over; spelling does not matter."""
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
def test_placeholders_are_no_board(placeholder: str) -> None:
    """What thousands of machines say identifies none."""
    assert board_id(placeholder) is None
