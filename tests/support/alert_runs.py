"""Daily runs of the alerts before the expiry of a license."""

from datetime import timedelta

from polygent_issuer.enforcement import Admin, Alert
from support.lic_files import ISSUED
from support.servers import DAY, Server

END = ISSUED + 365 * DAY
NINE = timedelta(hours=23)
"""The last 09:00 before the expiry, which is at 08:00."""
ADA = Admin(name="Ada", address="ada@acme.example")
BOB = Admin(name="Bob", address=None)


def run(server: Server, before: timedelta, *, fails: bool = False) -> Alert | None:
    """Run the alerts at this time before the expiry, and send the mail unless that fails."""
    server.now = END - before
    alert = server.license.alerts(server.now, [ADA]).alert
    if alert is not None and not fails:
        server.license.alert_sent(alert)
    return alert


def sent(server: Server, before: timedelta, *, fails: bool = False) -> int | None:
    """Return the milestone of a run at this time before the expiry."""
    alert = run(server, before, fails=fails)
    return None if alert is None else alert.milestone
