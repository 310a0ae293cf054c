"""The texts of the pages: names of features, the full-screen page, and refused uploads."""

from dataclasses import dataclass
from typing import Final

from polygent_issuer.enforcement import InstallRefused, State

DEVICES: Final = "multiple-active-sessions"
"""The feature with which the profile has the tab Devices; the others are in the navigation."""

FEATURE_NAMES: Final = {
    "workflows": "Workflow automation",
    "automations": "Scheduled automations",
    "planner": "AI Planner",
    "round-table": "Round Table",
    "insights": "Insights",
    "ticket-sync": "External ticket sync",
    "deployments": "Deployment agents",
    "code-review": "Code review",
    "verification": "Verification",
    "memory": "Memory module",
    "bots": "Bots",
    DEVICES: "Concurrent sign-ins per user across devices",
    "sso-saml": "Single Sign-On with SAML",
    "audit-export": "Audit log export",
    "multi-tenant": "Multi-tenant mode",
}
"""The product's name of each feature."""


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of the full-screen page: the title, the reason, the next step of each role."""

    title: str
    why: str
    admin: str
    member: str = "Please contact an admin of your organisation. Your work is not lost."


REQUEST: Final = (
    "Download the machine info, send it to your vendor, and upload the license that you receive."
)
"""The next step of an admin for a license that is bound to this machine."""

_CHOOSE: Final = "Choose the .lic file that you received from your vendor."

OF_STATE: Final = {
    State.NONE: Words(
        "No license yet",
        "This server needs a license from your vendor.",
        REQUEST,
        "Please contact an admin of your organisation. The server is not set up yet.",
    ),
    State.EXPIRED: Words(
        "License Expired",
        "The license of this server was valid until {day}.",
        "Upload the renewed license from your vendor. It takes effect at once.",
    ),
    State.NOT_YET_VALID: Words(
        "License not valid yet",
        "This server's clock is earlier than the time at which the license was issued.",
        "Check the server's clock and correct it.",
    ),
    State.MACHINE_CHANGED: Words(
        "Machine identity changed",
        "The license is bound to a machine with another fingerprint than this server.",
        REQUEST,
    ),
    State.CLOCK_TAMPERED: Words(
        "Clock set back",
        "The time is more than a day earlier than this server has seen before.",
        "Correct the clock. If it was far ahead before, upload a newly issued license.",
    ),
    State.NOT_AUTHENTIC: Words(
        "License not authentic",
        "This server no longer trusts the key that signed the license.",
        "Upload the replacement license from your vendor.",
    ),
}
"""The texts for each state except active."""

OTHER_ADDRESS: Final = Words(
    "License domain mismatch",
    "The license does not cover the address that you used.",
    "Use an address that the license covers, or upload a license for this address.",
    "Use your organisation's usual address, or contact an admin.",
)
"""The texts for a request to a host name that the license does not allow."""

TOO_LARGE: Final = InstallRefused("too_large", "the file is larger than any license file")
"""The refusal of an upload that is not read to its end."""

_REFUSED: Final = {
    "too_large": ("This file is too large to be a license", _CHOOSE),
    "malformed": ("This is not a complete license file", _CHOOSE),
    "unknown_key": (
        "This license was signed with a key that this server does not know",
        "Ask your vendor whether the license is meant for this server.",
    ),
    "bad_signature": (
        "This license was changed or damaged after it was signed",
        "Ask your vendor to send it again, and upload the attached file as it is.",
    ),
    "invalid_claims": ("This server cannot use this license", "Ask your vendor for a new license."),
    "expired": ("This license has already expired", "Ask your vendor for a renewed license."),
    "not_yet_valid": (
        "This license was issued in the future, according to this server's clock",
        "Check the server's clock and correct it.",
    ),
    "stale_issue_date": (
        "This license was issued too long ago to be installed now",
        "Ask your vendor to issue it again, and upload it soon after you receive it.",
    ),
    "machine_mismatch": ("This license is for another machine", REQUEST),
    "superseded": (
        "A newer license was installed here before",
        "Upload the newest license that you received.",
    ),
    "clock_tampered": (
        "The license cannot be installed while the server's clock is set back",
        "Correct the clock, or upload a newly issued license.",
    ),
}


def refused_upload(refused: InstallRefused) -> tuple[str, str]:
    """Return for the customer why an upload was refused, and the next step.

    The hint of the verifier recognises a file of another type, so it comes first.
    """
    why, next_step = _REFUSED.get(refused.code, ("The license was refused", "Ask your vendor."))
    if refused.code == "malformed" and refused.hint:
        next_step = f"{refused.hint[:1].upper()}{refused.hint[1:]}."
        if refused.hint.startswith("this is "):
            why = "This is not a license file"
    return why, next_step


def state_title(state: State) -> str:
    """Return the title of a state, as the product's pages have it."""
    return "Active" if state is State.ACTIVE else OF_STATE[state].title
