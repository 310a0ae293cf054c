"""Advice for each failed check of FORMAT §5: what the customer sees, what to do, and the command.

It uses the names of the product's public guide: the full-screen *License Expired* page, *Settings →
License*, *Upload license*, *Download machine info*. Texts in quotation marks are those of the pages
and of `enforcement.refusals`, so that an operator finds what a customer's mail quotes. They are
repeated here, since the import of `enforcement` takes as long as a verification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polygent_issuer.text import Hint, run
from polygent_issuer.verifier.errors import CheckCode

# What a server without a valid license does, with the API's message.
_LOCKED: Final = (
    'every page shows the License Expired screen, the API answers 503 "{}", and session and deploy '
    "agents are refused"
)
_EXPIRED = "the license has expired"
_BEFORE_ISSUE = "according to this server's clock, the license was issued in the future"
_OTHER_MACHINE = "the license is bound to another machine"
_SET_BACK = "the server's clock was set back"
_NOT_AUTHENTIC = "the installed license is no longer authentic"
_OTHER_HOST = "the license does not cover the host name of this request"
_REFUSED = (
    "Upload license refuses the file with the message of this check; the installed license stays "
    "current"
)
_LOST = f"{_REFUSED}; if this file is the installed license: {_LOCKED.format(_NOT_AUTHENTIC)}"
_REISSUE = ("reissue", "CUSTOMER")
_EXPORT = ("license", "export", "LICENSE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Advice for one failed check.

    `sees` is what the customer sees, and `do` what to do. `fix` is the operator's command;
    CUSTOMER, LICENSE and DOMAIN are placeholders.
    """

    sees: str
    do: str
    fix: tuple[str, ...]


FOR: Mapping[CheckCode, Advice] = {
    CheckCode.MALFORMED: Advice(
        sees=_REFUSED,
        do="send the .lic file itself again, as an attachment",
        fix=_EXPORT,
    ),
    CheckCode.UNKNOWN_KEY: Advice(
        sees=_LOST,
        do=Hint(
            "the server does not have the public key of this file: find the key with ",
            run("key", "list"),
            ", export its public key and install it on the server",
        ),
        fix=("key", "export-public"),
    ),
    CheckCode.BAD_SIGNATURE: Advice(
        sees=_LOST,
        do="the file was altered, in transit or on purpose: send the original again",
        fix=_EXPORT,
    ),
    CheckCode.INVALID_CLAIMS: Advice(
        sees=_LOST,
        do="the file is for a newer version of the product, or was not made by this tool: update "
        "the server, or send a file issued here",
        fix=("inspect", "FILE"),
    ),
    CheckCode.EXPIRED: Advice(
        sees=f"{_LOCKED.format(_EXPIRED)}; an admin can still use Download machine info and Upload "
        "license",
        do="renew the license and send the new file; it works as soon as an admin uploads it",
        fix=("renew", "CUSTOMER"),
    ),
    CheckCode.NOT_YET_VALID: Advice(
        sees=f"{_REFUSED}; if this file is the installed license: {_LOCKED.format(_BEFORE_ISSUE)}",
        do="the server's clock is behind, or this machine's was ahead: compare both with the true "
        "time; if this machine's was wrong, send a new file",
        fix=_REISSUE,
    ),
    CheckCode.STALE_ISSUE_DATE: Advice(
        sees="Upload license refuses the file with the message of this check; a license that is "
        "already installed keeps working",
        do="send a new file with the same expiry, and have it uploaded before the upload deadline",
        fix=_REISSUE,
    ),
    CheckCode.MACHINE_MISMATCH: Advice(
        sees=f"{_REFUSED}; if the server's own identity has changed: "
        f'{_LOCKED.format(_OTHER_MACHINE)}; the screen has "Machine identity changed"',
        do="ask an admin to use Download machine info on that server (Settings → License, or the "
        "License Expired screen), and reissue the license for that machine",
        fix=(*_REISSUE, "--machine-info", "FILE"),
    ),
    CheckCode.DOMAIN_MISMATCH: Advice(
        sees='under this host name, pages show "License domain mismatch", and the API answers 503 '
        f'"{_OTHER_HOST}"; requests under the allowed domain keep working',
        do="use a host name that the license allows (* matches exactly one level), or reissue it "
        "for the right domain",
        fix=(*_REISSUE, "DOMAIN"),
    ),
    CheckCode.CLOCK_TAMPERED: Advice(
        sees=f"{_LOCKED.format(_SET_BACK)}, because the clock went back by more than a day",
        do="correct the server's clock: the lock ends when the clock passes the last time seen; if "
        "the clock once ran far ahead, uploading a license issued now ends it at once",
        fix=_REISSUE,
    ),
}
"""The advice for each check of FORMAT §5."""


def fix(
    code: CheckCode,
    *,
    customer: Sequence[str] | None = None,
    license_id: str | None = None,
    domain: Sequence[str] | None = None,
) -> Hint:
    """Return the command that fixes a failed check, with what is known.

    `customer` has its slug and the options that select a license; `domain` the options that set
    the allowed domain.
    """
    known = {
        "CUSTOMER": tuple(customer or ("CUSTOMER",)),
        "LICENSE": ("LICENSE" if license_id is None else license_id,),
        "DOMAIN": tuple(domain or ("--allowed-domain", "HOST-PATTERN")),
    }
    return run(*(word for name in FOR[code].fix for word in known.get(name, (name,))))
