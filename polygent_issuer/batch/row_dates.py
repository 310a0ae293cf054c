"""Expiries of rows: dates and times of TOML, and texts whose form the command may name."""

import re
from datetime import date, datetime
from typing import Final

from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.home.setting_types import type_name
from polygent_issuer.terms.parsing import DateFormat, parse_expires

_OTHER_DATE: Final = re.compile("[0-9]{1,2}([-./])[0-9]{1,2}\\1[0-9]{4}")
_FORMS: Final = {
    ".": "'%d.%m.%Y'",
    "-": "'%d-%m-%Y'",
    "/": "'%d/%m/%Y' or '%m/%d/%Y', whichever the file has",
}


def read_expires(value: object, date_format: DateFormat | None = None) -> datetime:
    """Read a value of TOML, or a text as `--expires` accepts it (FORMAT §6).

    Args:
        date_format: the form of dates in texts; by default ISO dates.
    """
    if isinstance(value, str):
        return _read_text(value, date_format)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InputRefused(
            f"the timestamp lacks a UTC offset: {value.isoformat()}",
            hint="write a date as 2027-11-30, or a timestamp as 2027-11-30T18:00:00Z",
        )
    if isinstance(value, date):
        return parse_expires(value.isoformat())
    raise InputRefused(f"must be a text, not {type_name(value)}", hint="write it in quotes")


def _read_text(text: str, date_format: DateFormat | None) -> datetime:
    try:
        return parse_expires(text, date_format)
    except InvalidTerms as refused:
        if date_format is None and _OTHER_DATE.fullmatch(text):
            hint = f"write it as 2027-11-30, or name the form: --date-format {_FORMS[text[-5]]}"
            raise InvalidTerms(refused.message, hint=hint) from None
        raise
