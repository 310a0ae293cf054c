"""Keys of a customer's name for comparison, without regard to case, spacing and accents.

A name has one key for each reading of its umlauts: Müller is `muller` and `mueller`. The legal form
at its end is kept apart, so that Acme and Acme GmbH can be compared.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from polygent_issuer.text import APOSTROPHES, LATIN, normalize_for_comparison

_WITH_E: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_DIGITS_APART: Final = re.compile(r"(?<=\d) (?=\d)")
# The parts of a form in one text, in lower case: "S. à r.l." is `sarl`.
_LEGAL_FORMS: Final = """ab aeoe ag aps as asa bv corp doo ek ev eg gbr gmbh ik inc kft kg kgaa kk
    llc llp lp ltd mbh nv nyrt ohg ooo oy oyj plc pte pty pvt sa sarl sas sasu se sl spa sro srl sp
    ug vof zoo zrt gmbhco gmbhcokg agcokg cokg coltd spzoo"""
_FORMS: Final = frozenset(_LEGAL_FORMS.split())
_SHORT: Final = {"incorporated": "inc", "corporation": "corp", "limited": "ltd"}
_LONGEST_FORM: Final = 4
"""The largest number of words in a legal form: sp. z o.o."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class NameKey:
    """One reading of a name: its words without the legal form, separated by spaces."""

    words: str
    legal_form: str

    @property
    def letters(self) -> str:
        """The words without spaces; only two numbers stay apart, as in Store 1 1."""
        return _DIGITS_APART.sub(".", self.words).replace(" ", "")


@lru_cache(maxsize=4096)  # a batch compares each name with those of the rows above it
def name_keys(name: str) -> tuple[NameKey, ...]:
    """Return the keys of a name: one, or two if it has umlauts; never none."""
    folded = normalize_for_comparison(name.translate(APOSTROPHES))
    return tuple(sorted({_key(folded), _key(folded.translate(_WITH_E))}))


def rows_of_name(name: object) -> str:
    """Return the keys of a name as JSON, for a migration in SQL; none for a damaged value."""
    keys = name_keys(name) if isinstance(name, str) else ()
    rows = ((key.words, key.legal_form, key.letters, key.letters[::-1]) for key in keys)
    return json.dumps(list(rows))


def _key(folded: str) -> NameKey:
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
    plain = unicodedata.normalize("NFC", bare).translate(LATIN)
    words = "".join(
        character if unicodedata.category(character)[0] in "LMN" else " " for character in plain
    ).split()
    forms: list[str] = []
    while form := _form_at_end(words):
        length, name = form
        del words[-length:]
        forms.insert(0, name)
    return NameKey(words=" ".join(words) or plain, legal_form="".join(forms))


def _form_at_end(words: list[str]) -> tuple[int, str] | None:
    """Return the number of words of the legal form at the end, and the form; one word remains."""
    for length in range(min(_LONGEST_FORM, len(words) - 1), 0, -1):
        form = "".join(words[-length:])
        form = _SHORT.get(form, form)
        if form in _FORMS:
            return length, form
    return None
