"""What a server does with its license: installs it, judges every request, counts, alerts.

Standard library and the verifier beside it alone, relative imports; no clock: everything takes
`now`. Use it from here, or copy both folders.

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

`LicenseMiddleware` puts it before any ASGI app. Call `tick` every minute, so that background
services given to `listen` hear of an expiry without a request; and `alerts` whenever `alerts_due`.

One process, one store: each worker of a cluster is a node with a file of its own, on each the same
license is installed, and caps hold per node. A store that is open is locked.

What it does not withstand is an administrator of the server's machine. Restoring an older copy of
the store, or deleting it, also forgets the last time seen, which licenses were superseded (within
their upload window an older one can be installed again) and which milestones were sent.
"""

from .alerts import Admin, Alert, AlertRun, Banner, Level, next_run
from .asgi import LicenseMiddleware
from .hosts import Connection, HostCaps, HostKind
from .paths import DEFAULT_ROUTES, WEBSOCKET, Route
from .refusals import InstallRefused, Refusal, Standing, State
from .server_license import ServerLicense
from .services import Pausable
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
    "Connection",
    "HostCaps",
    "HostKind",
    "InstallRefused",
    "Installation",
    "Kept",
    "Level",
    "LicenseMiddleware",
    "LogEntry",
    "Pausable",
    "Refusal",
    "Route",
    "ServerLicense",
    "SqliteStore",
    "Standing",
    "State",
    "Status",
    "Store",
    "StoreFailed",
    "Usage",
    "next_run",
]
