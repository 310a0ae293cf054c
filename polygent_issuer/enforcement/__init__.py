"""Enforcement of a license by a server: installation, requests, limits and alerts.

It uses only the standard library and the `verifier` folder, with relative imports. It has no clock:
callers pass `now`. Import it, or copy both folders.

    >>> from datetime import UTC, datetime, timedelta
    >>> from pathlib import Path
    >>> from polygent_issuer.enforcement import HostKind, ServerLicense, SqliteStore
    >>> from polygent_issuer.verifier import KeySet, Verifier
    >>> keys = KeySet.from_pem(Path("public.pem").read_bytes(), allow_example=True)
    >>> machine = "sha256:b09b44ad99942c4f8e2fd9d765274ee5c5a9ea54870ffb0ce0a163ce56cfa5c8"
    >>> store = SqliteStore(Path("license.db"))
    >>> license = ServerLicense(Verifier(keys), store, fingerprint=machine)
    >>> now = datetime(2026, 1, 5, tzinfo=UTC)
    >>> license.standing(now).state
    <State.NONE: 'none'>
    >>> license.install(Path("example.lic").read_bytes(), now=now, by="ada").customer
    'Example GmbH'
    >>> license.feature("sso-saml", now).status
    403
    >>> connection = license.connect(HostKind.SESSION, "host-1", now)
    >>> license.hosts.connected(HostKind.SESSION)
    1
    >>> license.status(now - timedelta(days=2), users_active=1).state
    <State.CLOCK_TAMPERED: 'clock_tampered'>
    >>> store.close()

`LicenseMiddleware` adds it to any ASGI app. Call `run_daily` every minute: it mails alerts, and
background services given to `listen` pause at an expiry even without a request. `daily.DailyRuns`
does so with the clock of the machine. `router` has the routes for status, upload and machine info.
`testing` has fixtures of pytest for the tests of an app. Changes of the state, uploads and refusals
are logged (`events`).

The processes of one machine open the same store: an upload to one takes effect in all within a
second, and host limits apply to all of them together. Nodes of a cluster have a store each, and
nothing is coordinated: the same license is installed on each.

Enforcement does not protect against an administrator of the server's machine. If an older copy of
the store is restored, or the store is deleted, the last time seen, the superseded licenses and the
sent milestones are lost. An older license can then be installed again within its upload window.
"""

from .alerts import Admin, Alert, AlertRun, Banner, Level, next_run
from .asgi import LicenseMiddleware
from .events import Pausable
from .live import Claims, Connection, HostCaps, HostKind
from .machine import NoMachineInfo, image_id_warning, machine_fingerprint, machine_info
from .paths import DEFAULT_ROUTES, WEBSOCKET, Route
from .refusals import InstallRefused, Refusal, Refused, Standing, State
from .server_license import ServerLicense
from .sqlite_store import SqliteStore
from .status import Status, Usage
from .store import Installation, Kept, LogEntry, Store, StoreFailed

__all__ = [
    "DEFAULT_ROUTES",
    "WEBSOCKET",
    "Admin",
    "Alert",
    "AlertRun",
    "Banner",
    "Claims",
    "Connection",
    "HostCaps",
    "HostKind",
    "InstallRefused",
    "Installation",
    "Kept",
    "Level",
    "LicenseMiddleware",
    "LogEntry",
    "NoMachineInfo",
    "Pausable",
    "Refusal",
    "Refused",
    "Route",
    "ServerLicense",
    "SqliteStore",
    "Standing",
    "State",
    "Status",
    "Store",
    "StoreFailed",
    "Usage",
    "image_id_warning",
    "machine_fingerprint",
    "machine_info",
    "next_run",
]
