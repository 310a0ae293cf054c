"""The mails to the admins, recorded in place of being sent."""

from datetime import datetime
from typing import Final

from polygent_issuer.enforcement import Admin, AlertRun, ServerLicense

_ADMINS: Final = (
    Admin(name="admin", address="admin@sandbox.example"),
    Admin(name="second-admin", address=None),  # shows what happens to one without an address
)


class Mails:
    """Every alert of a license.

    Attributes:
        sent: when, and what; the newest first.
    """

    def __init__(self, license: ServerLicense) -> None:  # noqa: A002 - the noun of the field
        """None was sent."""
        self._license = license
        self.sent: list[tuple[datetime, AlertRun]] = []

    def run_if_due(self, now: datetime) -> None:
        """The daily run, once a 09:00 has passed."""
        if self._license.alerts_due(now):
            self.run(now)

    def run(self, now: datetime) -> AlertRun:
        """The daily run, whatever the hour."""
        run = self._license.alerts(now, _ADMINS)
        if run.alert is not None:
            self.sent.insert(0, (now, run))
        return run
