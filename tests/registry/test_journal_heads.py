"""Heads that were noted elsewhere: one a line, read again to the last one."""

import pytest
from support.registries import NOW, REGISTRY_ID

from polygent_issuer.errors import InputRefused
from polygent_issuer.registry.journal_check import head_text, noted_line, parse_head, parse_noted

DIGEST = "0123456789abcdef" * 4


def test_what_is_noted_is_read_again() -> None:
    """The instant, the head and the registry's id stand in a line; the head is found in it."""
    line = noted_line(7, DIGEST, now=NOW, registry_id=REGISTRY_ID)
    assert line == f"2026-03-01T09:30:00Z 7:{DIGEST} {REGISTRY_ID}"
    (head,) = parse_noted(f"{line}\n", "heads.txt")
    assert (head.size, head.digest.hex()) == (7, DIGEST)
    assert head.told == "the head noted in line 1 of heads.txt"


def test_a_file_has_room_for_people() -> None:
    """Comments, blank lines, line ends of Windows, a bare head and a hash alone."""
    text = f"# mine\r\n\r\n  7:{DIGEST}\r\n{DIGEST}\n"
    heads = parse_noted(text, "f")
    assert [head.size for head in heads] == [7, None]
    assert [head.told for head in heads] == [f"the head noted in line {n} of f" for n in (3, 4)]


@pytest.mark.parametrize("line", ["x", "4:abc", "-1:" + "0" * 64, "2026-03-01T09:30:00Z", "\x1b["])
def test_a_line_without_a_head_is_refused(line: str) -> None:
    """A head that was mistyped or cut off never passes for one that was looked for."""
    with pytest.raises(InputRefused, match="line 2 of f holds no head") as caught:
        parse_noted(f"7:{DIGEST}\n{line}\n", "f")
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n"])
def test_a_file_without_heads_is_refused(text: str) -> None:
    """An empty file vouches for nothing."""
    with pytest.raises(InputRefused, match="holds no head") as caught:
        parse_noted(text, "f")
    assert caught.value.hint == "note one: polygent-issue journal verify --note FILE"


@pytest.mark.parametrize("text", ["", "4", "4:abc", "x" * 64, "-1:" + "0" * 64, "0" * 65])
def test_what_is_no_head(text: str) -> None:
    """Nothing that only looks like one."""
    assert parse_head(text) is None


def test_a_head_as_it_is_printed() -> None:
    """What is printed is what is read."""
    found = parse_head(f" {head_text(4, DIGEST)}\n")
    assert found is not None
    assert (found.size, found.digest) == (4, bytes.fromhex(DIGEST))
