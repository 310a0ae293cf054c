"""Parse mail addresses such as `ops@acme.example` and `Ada <ada@acme.example>`, and lists of them.

Only the part of RFC 5322 §3.4 that every mail program and server accepts is allowed: an ASCII
dot-atom before the @, a host name of LDH labels after it, within the lengths of RFC 5321 §4.5.3.1.
Such a text remains exactly one address, however it is quoted later.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from polygent_issuer.verifier.license import display_name_problem

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL: Final = rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*"
_ADDRESS: Final = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})*")
_LONGEST: Final = 254
ENCODED_WORD: Final = "=?"
"""The beginning of an encoded word (RFC 2047), which a mail program shows decoded."""
_PART: Final = re.compile(r'(?:"[^"\r\n]*"|[^;\r\n])+')
_WHOLLY_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """One address and the name of its owner; `name` is empty for an address without a name."""

    name: str
    address: str

    @property
    def host(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]


def parse_address(text: str) -> Mailbox | None:
    """Parse `ADDRESS` or `NAME <ADDRESS>`; None for anything else, or a name against FORMAT §1.

    A text with an encoded word (RFC 2047) is refused: a mail program would show another name or
    address than the operator reads.
    """
    if ENCODED_WORD in text:
        return None
    name, bracket, rest = text.rpartition(" <")
    address = rest.removesuffix(">") if bracket else text
    if len(address) > _LONGEST or not _ADDRESS.fullmatch(address):
        return None
    if not bracket:
        return Mailbox(name="", address=address)
    name = _unquoted(name)
    if not rest.endswith(">") or re.search("[@<>]", name) or display_name_problem(name):
        return None
    return Mailbox(name=name, address=address)


def split_contacts(text: str) -> tuple[str, ...]:
    """Split contacts in one cell at semicolons and line ends outside of quotes.

    Quotes around a whole contact are removed: `"Ada; Bob"` is the one contact Ada; Bob.
    """
    parts = [part.strip() for part in _PART.findall(text)]
    return tuple(_without_quotes(part) for part in parts if part)


def join_contacts(contacts: Iterable[str]) -> str:
    """Return contacts as one text, which `split_contacts` splits again."""
    return "; ".join(contact if _is_one(contact) else _in_quotes(contact) for contact in contacts)


def _is_one(contact: str) -> bool:
    return split_contacts(contact) == (contact,) and contact.count('"') % 2 == 0


def _without_quotes(contact: str) -> str:
    quoted = _WHOLLY_QUOTED.fullmatch(contact)
    return contact if quoted is None else quoted[1].replace('""', '"')


def _in_quotes(contact: str) -> str:
    doubled = contact.replace('"', '""')
    return f'"{doubled}"'


def _unquoted(name: str) -> str:
    """Return the name without the quotes that some address books put around it."""
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
