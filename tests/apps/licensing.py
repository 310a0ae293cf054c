"""The license of an API server, the same for FastAPI and Starlette."""

import os
import secrets
import smtplib
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from threading import Event

from starlette.requests import Request

from polygent_issuer.enforcement import (
    Admin,
    Alert,
    Refusal,
    Refused,
    Route,
    ServerLicense,
    SqliteStore,
    machine_fingerprint,
)
from polygent_issuer.enforcement.daily import DailyRuns
from polygent_issuer.enforcement.router import User
from polygent_issuer.verifier import KeySet, Verifier

DATA = Path(os.environ.get("POLYGENT_DATA", "/var/lib/polygent"))
FEATURES = {"/api/planner": "planner", "/api/bots": "bots"}
EXTRA_ROUTES = {
    ("GET", "/api/health"): Route.HEALTH,
    ("GET", "/api/sso/sign-in"): Route.SIGN_IN,
    ("POST", "/api/sso/callback"): Route.SIGN_IN,
}


def open_license() -> ServerLicense:
    """Open the store of this machine, as every worker process does."""
    keys = KeySet.from_pem((DATA / "public.pem").read_bytes())
    store = SqliteStore(DATA / "license.db")
    fingerprint = machine_fingerprint()
    return ServerLicense(Verifier(keys), store, fingerprint=fingerprint)


@asynccontextmanager
async def running(
    license: ServerLicense,
    now: Callable[[], datetime],
) -> AsyncGenerator[None, None]:
    """Pause services in time, and send alerts, while the server runs."""
    with license:
        license.listen(Queue(), now())
        async with DailyRuns(license, admins=admins, send=send, now=now):
            yield


class Queue:
    """A background service; its worker waits for `running`."""

    def __init__(self) -> None:
        """Begin paused."""
        self.running = Event()

    def pause(self, reason: Refusal) -> None:
        """Start no further job."""
        self.running.clear()

    def resume(self) -> None:
        """Start jobs again."""
        self.running.set()


def admins() -> list[Admin]:
    """Return the recipients of alerts."""
    return [Admin(name="ada", address=os.environ.get("ADMIN_ADDRESS"))]


def send(alert: Alert) -> None:
    """Mail an alert; if this raises, the next daily run tries again."""
    mail = EmailMessage()
    mail["From"] = "polygent@localhost"
    mail["To"] = ", ".join(admin.address or "" for admin in alert.to)
    mail["Subject"] = alert.subject
    mail.set_content(alert.text)
    server = os.environ.get("MAIL_SERVER", "localhost")
    with smtplib.SMTP(server, timeout=30) as smtp:
        smtp.send_message(mail)


def signed_in(request: Request) -> User | None:
    """Return the user of a request; your server has sessions."""
    given = request.headers.get("authorization", "").encode()
    expected = f"Bearer {os.environ['ADMIN_TOKEN']}".encode()
    if secrets.compare_digest(given, expected):
        return User(name="ada", is_admin=True)
    return None


def users() -> sqlite3.Connection:
    """Open the database of users."""
    db = sqlite3.connect(DATA / "users.db", isolation_level=None)
    db.execute("CREATE TABLE IF NOT EXISTS user (name TEXT PRIMARY KEY)")
    return db


def count_users() -> int:
    """Return the number of active users."""
    with closing(users()) as db:
        return _count(db)


def add_user(license: ServerLicense, name: str, now: datetime) -> None:
    """Count and add in one transaction, so that two requests wait."""
    with closing(users()) as db:
        db.execute("BEGIN IMMEDIATE")
        if refusal := license.may_add_user(_count(db), now):
            raise Refused(refusal)
        db.execute("INSERT INTO user VALUES (?)", (name,))
        db.execute("COMMIT")


def _count(db: sqlite3.Connection) -> int:
    (active,) = db.execute("SELECT count(*) FROM user").fetchone()
    return int(active)
