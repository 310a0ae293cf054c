"""The text of mail drafts, and the operator's own."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.delivery.template import (
    DEFAULT,
    LIMIT,
    PLACEHOLDERS,
    Template,
    load,
    template_path,
)
from polygent_issuer.errors import ExitCode, InputRefused, UnreadableInput

WORDS = {name: f"<{name}>" for name in PLACEHOLDERS}


def refused(home: Path, text: str | bytes) -> InputRefused:
    """How a text is refused."""
    template_path(home).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputRefused) as caught:
        load(home)
    assert caught.value.code == "invalid_template"
    assert caught.value.exit_code is ExitCode.INPUT
    assert caught.value.hint
    assert str(template_path(home)) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def test_without_a_file_it_is_the_one_that_ships(tmp_path: Path) -> None:
    """Which is itself a right template: written into the home it loads."""
    assert load(tmp_path) == Template(text=DEFAULT, edited=False)
    template_path(tmp_path).write_text(DEFAULT, encoding="utf-8")
    assert load(tmp_path) == Template(text=DEFAULT, edited=True)


def test_what_ships_says_what_matters() -> None:
    """What it is, until when, what changes, the deadline, how to upload, what if it is missed."""
    ships = Template(text=DEFAULT, edited=False)
    body = ships.body(WORDS)
    for name in ("greeting", "what", "valid_until", "changes", "upload_before", "file", "machine"):
        assert f"<{name}>" in body
    assert "Settings → License → Upload license" in body
    assert "no restart" in body
    assert "write to us" in body
    assert "<upload_day>" in ships.subject(WORDS)
    assert all(len(line) <= 78 for line in DEFAULT.splitlines()[2:])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_edited_text(tmp_path: Path, encoding: str, end: str) -> None:
    """With a BOM and the line ends of Windows, too; $$ is a dollar, a subject is one line."""
    lines = ("Subject:  Für ${customer}: $changes", "", "$greeting", "5 $$ für Zoë", "")
    template_path(tmp_path).write_bytes(end.join(lines).encode(encoding))
    text = load(tmp_path)
    assert text.subject({**WORDS, "changes": "a\n  b"}) == "Für <customer>: a b"
    assert text.body(WORDS) == "<greeting>\n5 $ für Zoë\n"


def test_what_is_filled_in_is_not_read_again(tmp_path: Path) -> None:
    """A customer who is called $issuer stays so."""
    template_path(tmp_path).write_text("Subject: x\n\n$customer")
    assert load(tmp_path).body({**WORDS, "customer": "$issuer $"}) == "$issuer $\n"


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("", "the first line is not a subject", "Subject: TEXT"),
        ("Hello\n\nx", "the first line is not a subject", "Subject: TEXT"),
        ("Subject: \n\nx", "the first line is not a subject", "Subject: TEXT"),
        (
            "Subject: x\n\n$custmer",
            "line 3 contains the unknown placeholder $custmer",
            "did you mean $customer?",
        ),
        (
            "Subject: x\n\n${Customer}",
            "the unknown placeholder $Customer",
            "did you mean $customer?",
        ),
        (
            "Subject: $zzz\n",
            "line 1 contains the unknown placeholder $zzz",
            "known are $greeting, $kind, ",
        ),
        ("Subject: x\n\n\n5 $ each", "line 4 contains a single $", "write $$ for a dollar"),
        ("Subject: x\n${customer", "line 2 contains a single $", "write $$ for a dollar"),
        (
            "Subject: x\n\na\x1b[31m",
            "line 3 contains the control character U+001B",
            "delete the file",
        ),
        ("Subject: x\rBcc: y", "line 1 contains the control character U+000D", "delete the file"),
        (b"Subject: x\n\n\xff", "line 3 is not UTF-8", "save it as UTF-8"),
        ("Subject: x\n".encode("utf-16"), "it is in UTF-16", "save it as UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, why: str, hint: str) -> None:
    """File, line, and what to do."""
    problem = refused(tmp_path, text)
    assert why in problem.message
    assert hint in str(problem.hint)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Too large, a folder, a link to nowhere: none is silently the text that ships."""
    path = template_path(tmp_path)
    path.write_bytes(b"Subject: x\n" + b"x" * LIMIT)
    with pytest.raises(UnreadableInput):
        load(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableInput):
        load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UnreadableInput):
        load(tmp_path)


@given(text=st.text(alphabet="$ {}\nabcustomer\u00e9", max_size=60))
def test_what_loads_can_be_filled_in(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Nothing that was accepted fails once a license is signed."""
    home = tmp_path_factory.mktemp("home")
    template_path(home).write_text(f"Subject: {text}", encoding="utf-8")
    try:
        found = load(home)
    except InputRefused:
        return
    assert "\n" not in found.subject(WORDS)
    assert found.body(WORDS).endswith("\n")
