"""The text of mail drafts: `mail.txt` in the home, or the one that ships.

A subject line, an empty line, the body; `$name` stands for one of `wording.PLACEHOLDERS`
(`string.Template`), `$$` for a dollar. A wrong template is refused before anything is signed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text
from typing import Final

from polygent_issuer.delivery.wording import PLACEHOLDERS
from polygent_issuer.errors import InputRefused
from polygent_issuer.files import NotUtf8, read_text
from polygent_issuer.text import nearest, shown

TEMPLATE_FILE: Final = "mail.txt"
LIMIT: Final = 64 * 1024
"""The largest template, in bytes."""

DEFAULT: Final = """\
Subject: Polygent license for $customer ($machine): $kind, upload before $upload_day

$greeting

attached is $what.

  customer:     $customer
  machine:      $machine
  valid until:  $valid_until
  license ID:   $license_id

$changes

Please upload the file before
  $upload_before
After that your server no longer takes it; if you miss the date, write to us
and we send another.

How to upload: save the attached file
  $file
then open Polygent, go to Settings → License → Upload license, and choose it.
The license takes effect at once; no restart is needed.

$issuer
"""

_SUBJECT: Final = "Subject:"
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class InvalidTemplate(InputRefused):
    """The edited text of mail drafts cannot be used."""

    code = "invalid_template"


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A checked text; `edited` when it is the operator's own."""

    text: str
    edited: bool

    def subject(self, words: Mapping[str, str]) -> str:
        """The subject, in one line."""
        first = self.text.partition("\n")[0].removeprefix(_SUBJECT)
        return " ".join(Text(first).substitute(words).split())

    def body(self, words: Mapping[str, str]) -> str:
        """The body, lines ended by LF."""
        rest = self.text.partition("\n")[2].strip("\n")
        return Text(rest).substitute(words) + "\n"


def template_path(home: Path) -> Path:
    """Where a home has its own text."""
    return home / TEMPLATE_FILE


def load(home: Path) -> Template:
    """The text in force.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InvalidTemplate: (`invalid_template`) naming the file, the line and what is wrong there.
        UnreadableInput: (`unreadable_input`) when it cannot be read.
    """
    path = template_path(home)
    if not path.exists() and not path.is_symlink():
        return Template(text=DEFAULT, edited=False)
    try:
        text = read_text(str(path), limit=LIMIT, what="mail template", trusted=True)
    except NotUtf8 as refused:
        raise InvalidTemplate(refused.message, hint=refused.hint) from None
    text = text.replace("\r\n", "\n")
    _check(text, path)
    return Template(text=text, edited=True)


def _check(text: str, path: Path) -> None:
    first = text.partition("\n")[0]
    if not first.startswith(_SUBJECT) or not first.removeprefix(_SUBJECT).strip():
        raise _wrong(path, "the first line is not a subject", f"begin it with {_SUBJECT} TEXT")
    if found := _CONTROL.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise _wrong(path, f"line {_line(text, found)} holds the control character {code}")
    for found in Text.pattern.finditer(text):
        if found["invalid"] is not None:
            raise _wrong(path, f"line {_line(text, found)} has a lone $", "write $$ for a dollar")
        name = found["named"] or found["braced"]
        if name is not None and name not in PLACEHOLDERS:
            near = nearest(name.casefold(), PLACEHOLDERS)
            known = ", ".join(f"${each}" for each in PLACEHOLDERS)
            hint = f"did you mean ${near}?" if near else f"there are {known}"
            raise _wrong(path, f"line {_line(text, found)} has an unknown ${shown(name)}", hint)


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _wrong(path: Path, why: str, hint: str | None = None) -> InvalidTemplate:
    ships = "take the file away for the text that ships"
    return InvalidTemplate(f"{shown(str(path))}: {why}", hint=hint or ships)
