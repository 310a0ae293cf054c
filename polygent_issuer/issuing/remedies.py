"""What a failed check means at the customer's, and the command that puts it right.

One entry for each code of FORMAT §5, in the words of the product's public guide: the full-screen
*License Expired* page, *Settings → License*, *Upload license*, *Download machine info*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polygent_issuer.hints import Hint, run
from polygent_issuer.verifier.errors import CheckCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What one failed check leads to: what the customer sees, and what is to be done, in words.

    `mend` are the words of the command that does our part; CUSTOMER and LICENSE stand for them.
    """

    sees: str
    do: str
    mend: tuple[str, ...]


_LOCKED = (
    "every page leads to the License Expired screen, the API answers 503, session and deploy "
    "agents are refused"
)
_REFUSED = "Upload license refuses the file and says why; the license in force stays in force"
_LOST = f"{_REFUSED}; if this is the one installed: {_LOCKED}"

_REISSUE = ("reissue", "CUSTOMER")
_EXPORT = ("license", "export", "LICENSE")

FOR: Mapping[CheckCode, Advice] = {
    CheckCode.MALFORMED: Advice(
        sees=_REFUSED,
        do="send the .lic file itself again, as an attachment",
        mend=_EXPORT,
    ),
    CheckCode.UNKNOWN_KEY: Advice(
        sees=_LOST,
        do="the server lacks the public key that this file was signed with: polygent-issue key "
        "list shows which one, and the server must be given it",
        mend=("key", "export-public"),
    ),
    CheckCode.BAD_SIGNATURE: Advice(
        sees=_LOST,
        do="the file was altered, on its way or on purpose: send the original again",
        mend=_EXPORT,
    ),
    CheckCode.INVALID_CLAIMS: Advice(
        sees=_LOST,
        do="it was made for a newer version of the product, or not by this tool: update the "
        "server, or send a file made here",
        mend=("inspect", "FILE"),
    ),
    CheckCode.EXPIRED: Advice(
        sees=f"{_LOCKED}; an admin can still use Download machine info and Upload license there",
        do="send the next license; it works as soon as an admin has uploaded it",
        mend=("renew", "CUSTOMER"),
    ),
    CheckCode.NOT_YET_VALID: Advice(
        sees=f"{_REFUSED}; where there is none: {_LOCKED}",
        do="the server's clock is behind, or ours was ahead: compare both with the true time; if "
        "ours was wrong, send a new file",
        mend=_REISSUE,
    ),
    CheckCode.STALE_ISSUE_DATE: Advice(
        sees="Upload license refuses the file, since it was issued too long ago; a license that "
        "is installed already keeps working",
        do="send a new file with the same expiry, and have it uploaded before its deadline",
        mend=_REISSUE,
    ),
    CheckCode.MACHINE_MISMATCH: Advice(
        sees=f"{_REFUSED}; if the server's own identity has changed: {_LOCKED}",
        do="have an admin use Download machine info on that server (Settings → License, or the "
        "License Expired screen) and issue the license for what it says",
        mend=(*_REISSUE, "--machine-info", "FILE"),
    ),
    CheckCode.DOMAIN_MISMATCH: Advice(
        sees="requests under this host name are refused; those under the allowed domain go on "
        "working",
        do="use a host name that the license allows (* stands for exactly one label), or issue it "
        "for the right one",
        mend=(*_REISSUE, "--allowed-domain", "HOST-PATTERN"),
    ),
    CheckCode.CLOCK_TAMPERED: Advice(
        sees=f"{_LOCKED}, since the server's clock went back by more than a day",
        do="set the server's clock right: the lock ends once it has passed the last time seen; if "
        "the clock once ran far ahead, uploading a license issued now ends it at once",
        mend=_REISSUE,
    ),
}
"""The advice for each check of FORMAT §5."""


def mend(
    code: CheckCode, *, customer: Sequence[str] | None = None, license_id: str | None = None
) -> Hint:
    """The command that puts a failed check right, with the customer and license if known."""
    known = {
        "CUSTOMER": tuple(customer or ("CUSTOMER",)),
        "LICENSE": ("LICENSE" if license_id is None else license_id,),
    }
    return run(*(word for name in FOR[code].mend for word in known.get(name, (name,))))
