"""States of a server's license, and the refusals that follow: status, code, message, hint.

Everyone who sends a request sees these texts, signed in or not, so they name no machine, domain or
customer. `Standing.message` and `Status` have more details for admins.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..verifier import CheckCode, License
from ..verifier.errors import quoted
from ..verifier.license import FORBIDDEN_CHARACTER, MAX_DISPLAY_NAME


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
    """The installed license and its state.

    Attributes:
        state: that of the first check of FORMAT §5 that fails.
        license: the installed license in any state; None without one, and if it is no longer
            authentic.
        message: the reason, for the server's admins; it may name machine and license.
    """

    state: State
    license: License | None
    message: str

    @property
    def active(self) -> bool:
        """Return whether the product runs."""
        return self.state is State.ACTIVE


def shown(text: str) -> str:
    """Return at most 200 characters, with U+FFFD for those that FORMAT §1 forbids in names."""
    return FORBIDDEN_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_DISPLAY_NAME])


def error_json(
    code: str, message: str, hint: str | None = None, feature: str | None = None
) -> dict[str, Any]:
    """Return the one form of all errors for programs."""
    parts = {"code": code, "message": message, "hint": hint, "feature": feature}
    return {"error": {name: text for name, text in parts.items() if text is not None}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused request as a value: return it, or answer with it.

    Attributes:
        status: the HTTP status: 503 for the license as a whole, 403 for a feature, 400 for the user
            limit or a malformed path.
        code: stable: `license_` and the state, `license_not_open`, `license_store_failed`,
            `domain_mismatch`, `feature_missing`, `user_limit`, `host_limit`, `malformed_path`.
        message, hint: for people: what happened and why, and the fix. Only a refusal of your own
            may be without a hint.
        feature: the missing feature.
    """

    status: int
    code: str
    message: str
    hint: str | None = None
    feature: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the reason for programs: `{"error": {"code", "message", "hint"?, "feature"?}}`."""
        return error_json(self.code, self.message, self.hint, self.feature)


class Refused(Exception):
    """A refusal that ends what was begun; `LicenseMiddleware` answers with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        """Set the refusal."""
        super().__init__(refusal.message)
        self.refusal = refusal
        self.status = refusal.status
        self.code = refusal.code
        self.message = refusal.message
        self.hint = refusal.hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy with the refusal, since `args` has its message."""
        return type(self), (self.refusal,)

    def to_json(self) -> dict[str, Any]:
        """Return `Refusal.to_json` of the refusal."""
        return self.refusal.to_json()


_FILE_HINT: Final = "upload the license file as you received it, or ask for a reissued one"
_FINGERPRINT_HINT: Final = "set this server's fingerprint to that of its machine info"


class InstallRefused(Exception):
    """A license file was not installed; the installed license stays.

    Attributes:
        status: 400.
        code: a `CheckCode` of FORMAT §5, or `superseded`.
        message, hint: for the admin, each in one line without control characters.
        license: the decoded license if it is authentic, else None.
    """

    status = 400

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, license: License | None = None
    ) -> None:
        """Set the check that failed, and the license if it is authentic."""
        super().__init__(message)
        self.code = code
        self.message = message
        # The verifier gives no hint if its caller passed no valid fingerprint.
        default = _FINGERPRINT_HINT if code == CheckCode.MACHINE_MISMATCH else _FILE_HINT
        self.hint = hint or default
        self.license = license

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes, since `__init__` has other parameters than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def to_json(self) -> dict[str, Any]:
        """Return the reason for programs, in the form of `Refusal.to_json`."""
        return error_json(self.code, self.message, self.hint)


OF_STATE: Final = {
    state: Refusal(status=503, code=f"license_{state}", message=message, hint=hint)
    for state, (message, hint) in {
        State.NONE: (
            "no license is installed",
            "ask an admin to upload a license under Settings, License",
        ),
        State.EXPIRED: ("the license has expired", "ask an admin to upload a renewed license"),
        State.NOT_YET_VALID: (
            "according to this server's clock, the license was issued in the future",
            "correct the server's clock",
        ),
        State.MACHINE_CHANGED: (
            "the license is bound to another machine",
            "ask an admin to download the machine info and upload a license reissued for it",
        ),
        State.CLOCK_TAMPERED: (
            "the server's clock was set back",
            "correct the server's clock, or upload a newly issued license",
        ),
        State.NOT_AUTHENTIC: (
            "the installed license is no longer authentic",
            "ask an admin to upload a reissued license",
        ),
    }.items()
}
"""The refusal in every state except active."""
NOT_OPEN: Final = Refusal(
    status=503,
    code="license_not_open",
    message="the server has not opened its license",
    hint="try again when the server has started; if this persists, check its log",
)
"""The refusal before the server has opened its license."""
STORE_FAILED: Final = Refusal(
    status=503,
    code="license_store_failed",
    message="the server cannot store its license state",
    hint="check the disk and the license store file",
)
"""The refusal while a transition of the clock guard cannot be stored."""
DOMAIN_MISMATCH: Final = Refusal(
    status=503,
    code=str(CheckCode.DOMAIN_MISMATCH),
    message="the license does not cover the host name of this request",
    hint="use the server's licensed host name",
)
"""The refusal of a request whose Host does not match the allowed domain (FORMAT §3)."""
MALFORMED_PATH: Final = Refusal(
    status=400,
    code="malformed_path",
    message="the path of this request contains a control character",
    hint="send the path without line breaks and other control characters",
)
"""The refusal of an API path that servers and routers read in different ways."""
HOST_LIMIT: Final = Refusal(
    status=503,
    code="host_limit",
    message="concurrent host limit reached",
    hint="disconnect another host, or ask for a license for more hosts",
)


def missing_feature(active: License, feature: str) -> Refusal | None:
    """Return a 403 with the feature's name if the license lacks it."""
    if feature in active.features:
        return None
    return Refusal(
        status=403,
        code="feature_missing",
        message=f"the license does not include {quoted(feature)}",
        hint="ask for a license with this feature",
        feature=feature,
    )


def user_limit(limit: int, active: int, *, activation: bool = False) -> Refusal:
    """Return a 400 for a new user above the limit, or for the activation of a deactivated one."""
    message = f"the license allows {limit} active users, and {active} are active"
    first = "deactivate a user"
    if activation:
        message = f"this user cannot be activated: {message}"
        first = "deactivate another user first"
    hint = f"{first}, or ask for a license for more users"
    return Refusal(status=400, code="user_limit", message=message, hint=hint)
