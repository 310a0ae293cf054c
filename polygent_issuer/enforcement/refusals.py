"""States of a server's license, and the refusals that follow: status, code, message, hint.

The texts go to whoever asked, signed in or not, so they name no machine, domain or customer;
`Standing.message` and `Status` tell admins more.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..verifier import CheckCode, License
from ..verifier.errors import quoted
from ..verifier.license import MAX_DISPLAY_NAME
from ..verifier.tables import FORBIDDEN


class State(StrEnum):
    """The states of a server's license; the values never change."""

    NONE = "none"
    ACTIVE = "active"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    MACHINE_CHANGED = "machine_changed"
    CLOCK_TAMPERED = "clock_tampered"
    NOT_AUTHENTIC = "not_authentic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is in force.

    Attributes:
        state: the first check of FORMAT §5 that fails decides.
        license: the installed one, whatever its state; None without one and when it is not
            authentic any more.
        message: why, for the server's admins: it may name machine and license.
    """

    state: State
    license: License | None
    message: str

    @property
    def active(self) -> bool:
        """Whether the product runs."""
        return self.state is State.ACTIVE


_FORBIDDEN: Final = re.compile(
    "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in FORBIDDEN) + "]"
)


def shown(text: str) -> str:
    """At most 200 characters, each that no display name may hold (FORMAT §1) as U+FFFD."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_DISPLAY_NAME])


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused request, as a value: return it, or answer with it.

    Attributes:
        status: of HTTP: 503 for the license as a whole, 403 a feature, 400 a user too many or a
            malformed path.
        code: stable: `license_` and the state, `license_store_failed`, `domain_mismatch`,
            `feature_missing`, `user_limit`, `host_limit`, `malformed_path`.
        message, hint: for people: what and why, and what puts it right.
        feature: the one that is missing.
    """

    status: int
    code: str
    message: str
    hint: str | None = None
    feature: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The machine-readable reason: `{"error": {"code", "message", "hint"?, "feature"?}}`."""
        names = "code", "message", "hint", "feature"
        parts = ((name, getattr(self, name)) for name in names)
        return {"error": {name: text for name, text in parts if text is not None}}


class InstallRefused(Exception):
    """A license file was not installed; the present license stays in force.

    Attributes:
        code: a `CheckCode` of FORMAT §5, or `superseded`.
        message, hint: for the admin, each in one line without control characters.
        license: the decoded license once it is authentic, else None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        license: License | None = None,  # noqa: A002 - as in LicenseError
    ) -> None:
        """Say which check failed, and of which license once that is known."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.license = license

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes: `__init__` takes other arguments than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


OF_STATE: Final = {
    state: Refusal(status=503, code=f"license_{state}", message=message, hint=hint)
    for state, message, hint in (
        (
            State.NONE,
            "no license is installed",
            "an admin uploads a license under Settings, License",
        ),
        (State.EXPIRED, "the license has expired", "an admin uploads a renewed license"),
        (
            State.NOT_YET_VALID,
            "the license was issued later than this server's clock says",
            "set the server's clock right",
        ),
        (
            State.MACHINE_CHANGED,
            "the license is for another machine",
            "an admin downloads the machine info, asks for a reissued license and uploads it",
        ),
        (
            State.CLOCK_TAMPERED,
            "the server's clock was set back",
            "set the server's clock right, or upload a newly issued license",
        ),
        (
            State.NOT_AUTHENTIC,
            "the installed license is not authentic any more",
            "an admin asks for a reissued license and uploads it",
        ),
    )
}
"""The answer in every state but active."""
STORE_FAILED: Final = Refusal(
    status=503,
    code="license_store_failed",
    message="the server cannot keep its license state",
    hint="look after the disk and the file of the license store",
)
"""The answer while a transition of the clock guard cannot be made durable."""
DOMAIN_MISMATCH: Final = Refusal(
    status=503,
    code=str(CheckCode.DOMAIN_MISMATCH),
    message="the license does not cover the host name of this request",
    hint="use the server's licensed host name",
)
"""The verdict on one request whose Host is not the allowed domain (FORMAT §3)."""
MALFORMED_PATH: Final = Refusal(
    status=400,
    code="malformed_path",
    message="the path of this request contains a control character",
    hint="send the path without line breaks and other control characters",
)
"""The answer to a path of the API that servers and routers read in different ways."""
HOST_LIMIT: Final = Refusal(
    status=503,
    code="host_limit",
    message="concurrent host limit reached",
    hint="disconnect another host, or ask for a license for more",
)


def missing_feature(active: License, feature: str) -> Refusal | None:
    """403 with the feature's name when the license lacks it."""
    if feature in active.features:
        return None
    return Refusal(
        status=403,
        code="feature_missing",
        message=f"the license does not include {quoted(feature)}",
        hint="ask for a license with this feature",
        feature=feature,
    )


def user_limit(limit: int, active: int) -> Refusal:
    """400 for a user too many."""
    return Refusal(
        status=400,
        code="user_limit",
        message=f"the license is for {limit} active users, and {active} are",
        hint="deactivate a user, or ask for a license for more",
    )
