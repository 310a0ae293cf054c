"""The template of mail drafts, and its placeholders.

A template is a subject line, an empty line, and the body. `$name` is one of `PLACEHOLDERS`
(`string.Template`); `$$` is a dollar sign. An invalid template is refused before signing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.files.reading import NotUtf8, read_text
from polygent_issuer.text import did_you_mean, escape

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "greeting": "the salutation with the contact's name: Hello Ada,",
    "kind": "the kind of file: new license, renewal or replacement",
    "what": "the attached file, as a phrase: your new Polygent license",
    "customer": "the customer's name",
    "machine": 'the label of the machine, or "any machine"',
    "valid_until": "the expiry, in UTC and in the customer's time zone",
    "last_day": "the last full day of validity (UTC)",
    "changes": "several lines: what changes, or the terms of a new license",
    "upload_before": "the upload deadline, in UTC and in the customer's time zone",
    "upload_day": "the day of the upload deadline (UTC)",
    "file": "the name of the attached file",
    "license_id": "the license ID",
    "issuer": "the issuer name in the license",
}
"""Each placeholder of a template, with its meaning."""
TEMPLATE_FILE: Final = "mail.txt"
LIMIT: Final = 64 * 1024
"""The size limit of a template, in bytes."""

DEFAULT: Final = """\
Subject: Polygent license for $customer ($machine): $kind, upload before $upload_day

$greeting

Attached is $what.

  customer:     $customer
  machine:      $machine
  valid until:  $valid_until
  license ID:   $license_id

$changes

Please upload the file before
  $upload_before
After that date your server no longer accepts it. If you miss the date, please
write to us, and we will send you a new file.

How to upload:

  1. Save the attached file
     $file
  2. Open Polygent and go to Settings → License → Upload license.
  3. Choose the file.

The license takes effect at once; no restart is needed.

$issuer
"""

_CODE: Final = "invalid_template"
_SUBJECT: Final = "Subject:"
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A checked template; `edited` if it is the operator's own."""

    text: str
    edited: bool

    def subject(self, words: Mapping[str, str]) -> str:
        """Return the subject as one line."""
        first = self.text.partition("\n")[0].removeprefix(_SUBJECT)
        return " ".join(Text(first).substitute(words).split())

    def body(self, words: Mapping[str, str]) -> str:
        """Return the body; lines end with LF."""
        rest = self.text.partition("\n")[2].strip("\n")
        return Text(rest).substitute(words) + "\n"


def template_path(home: Path) -> Path:
    """Return the path of the operator's own template in a home."""
    return home / TEMPLATE_FILE


def load(home: Path) -> Template:
    """Return the template of a home, or the default template.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InputRefused: (`invalid_template`) with the file, the line and the problem.
        UnreadableInput: (`unreadable_input`) when it cannot be read.
    """
    text = own_text(home)
    if text is None:
        return Template(text=DEFAULT, edited=False)
    check_text(text, escape(str(template_path(home))))
    return Template(text=text, edited=True)


def own_text(home: Path) -> str | None:
    """Return the text of the operator's own template, unchecked; None without one.

    Raises:
        UnsafeFile, InputRefused, UnreadableInput: as `load`, when the file cannot be read.
    """
    path = template_path(home)
    if not path.exists() and not path.is_symlink():
        return None
    try:
        text = read_text(str(path), limit=LIMIT, what="mail template", trusted=True)
    except NotUtf8 as refused:
        raise InputRefused(refused.message, hint=refused.hint, code=_CODE) from None
    return text.replace("\r\n", "\n")


def check_text(text: str, where: str) -> None:
    """Check the text of a template; `invalid_template` names the problem and `where` it is."""
    if len(text.encode()) > LIMIT:
        raise _wrong(where, f"larger than {LIMIT} bytes", "use a shorter text")
    first = text.partition("\n")[0]
    if not first.startswith(_SUBJECT) or not first.removeprefix(_SUBJECT).strip():
        raise _wrong(
            where, "the first line is not a subject", f"begin the first line with {_SUBJECT} TEXT"
        )
    if match := _CONTROL.search(text):
        code = f"U+{ord(match[0]):04X}"
        raise _wrong(where, f"line {_line(text, match)} contains the control character {code}")
    for match in Text.pattern.finditer(text):
        if match["invalid"] is not None:
            raise _wrong(
                where,
                f"line {_line(text, match)} contains a single $",
                "write $$ for a dollar sign",
            )
        name = match["named"] or match["braced"]
        if name is not None and name not in PLACEHOLDERS:
            known = ", ".join(f"${each}" for each in PLACEHOLDERS)
            hint = did_you_mean(name.casefold(), PLACEHOLDERS, f"known are {known}", within="$")
            why = f"line {_line(text, match)} contains the unknown placeholder ${escape(name)}"
            raise _wrong(where, why, hint)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _wrong(where: str, why: str, hint: str | None = None) -> InputRefused:
    default = "delete the file to restore the default template"
    return InputRefused(f"{where}: {why}", hint=hint or default, code=_CODE)
