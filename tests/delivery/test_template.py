"""The default template of mail drafts, and the operator's own."""

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
    """Return the error of an invalid template."""
    template_path(home).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputRefused) as caught:
        load(home)
    assert caught.value.code == "invalid_template"
    assert caught.value.exit_code is ExitCode.INPUT
    assert caught.value.hint
    assert str(template_path(home)) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def test_without_a_file_the_default_template_is_used(tmp_path: Path) -> None:
    """The default template is valid: written into the home it loads."""
    assert load(tmp_path) == Template(text=DEFAULT, edited=False)
    template_path(tmp_path).write_text(DEFAULT, encoding="utf-8")
    assert load(tmp_path) == Template(text=DEFAULT, edited=True)


def test_the_default_template_is_complete() -> None:
    """It has the license, its validity, the changes, the deadline, and how to upload."""
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
def test_an_edited_template_is_used(tmp_path: Path, encoding: str, end: str) -> None:
    """A BOM and CRLF are accepted; $$ is a dollar sign; a subject is one line."""
    lines = ("Subject:  Für ${customer}: $changes", "", "$greeting", "5 $$ für Zoë", "")
    template_path(tmp_path).write_bytes(end.join(lines).encode(encoding))
    text = load(tmp_path)
    assert text.subject({**WORDS, "changes": "a\n  b"}) == "Für <customer>: a b"
    assert text.body(WORDS) == "<greeting>\n5 $ für Zoë\n"


def test_values_are_not_substituted_again(tmp_path: Path) -> None:
    """A customer with the name $issuer keeps it."""
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
def test_an_error_names_the_line(tmp_path: Path, text: str | bytes, why: str, hint: str) -> None:
    """The error has the file, the line and the fix."""
    problem = refused(tmp_path, text)
    assert why in problem.message
    assert hint in str(problem.hint)


def test_an_unreadable_template_is_refused(tmp_path: Path) -> None:
    """The default template is not used if the file is too large, a folder or a dangling link."""
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
def test_a_valid_template_can_be_filled_in(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """No accepted template fails after a license is signed."""
    home = tmp_path_factory.mktemp("home")
    template_path(home).write_text(f"Subject: {text}", encoding="utf-8")
    try:
        template = load(home)
    except InputRefused:
        return
    assert "\n" not in template.subject(WORDS)
    assert template.body(WORDS).endswith("\n")
