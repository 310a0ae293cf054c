"""The answers of this project's enforcement to the steps of a vector."""

import asyncio
import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

from vectors import times

from polygent_issuer.enforcement import (
    DEFAULT_ROUTES,
    Admin,
    Alert,
    Connection,
    HostKind,
    InstallRefused,
    LicenseMiddleware,
    Refusal,
    Route,
    ServerLicense,
    SqliteStore,
    next_run,
)
from polygent_issuer.verifier import KeySet, Verifier

Json = Mapping[str, Any]
Message = dict[str, Any]

# In memory where possible: each vector has a store of its own, whose commits are synced.
_FOLDER: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - of TemporaryDirectory
_REPEATABLE: Final = frozenset({"status", "request"})
"""Events that may be repeated until another worker's change has arrived."""
_DEADLINE: Final = 20
"""Seconds; a second should do (ENFORCEMENT 1.3)."""
_ALLOWED: Final[Json] = {"allowed": True}


class Judge:
    """The licenses and keys of the vectors."""

    def __init__(self, licenses: Json) -> None:
        """Read `enforcement/licenses.json`."""
        self._keys = licenses["keys"]
        self.files: Mapping[str, bytes] = {
            each["name"]: base64.b64decode(each["file"]) for each in licenses["licenses"]
        }

    def trusted(self, number: int | None = None) -> Verifier:
        """Return a verifier that trusts the first keys, or all."""
        jwks = json.dumps({"keys": self._keys[:number]}).encode()
        return Verifier(KeySet.from_jwks(jwks, allow_example=True))

    def problems(self, document: Json) -> Iterator[str]:
        """Describe each step whose answer differs from the expected one."""
        for vector in document["vectors"]:
            with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
                server = _Server(self, vector["server"], Path(folder))
                with closing(server):
                    for number, step in enumerate(vector["steps"]):
                        answer = server.answer(step)
                        if not _agrees(answer, step.get("expected")):
                            yield f"{vector['name']}: step {number} {step}, but {answer}"


def _agrees(answer: Any, expected: Any) -> bool:
    """Compare: of the status view, and of a refusal, only the members that are expected."""
    if isinstance(expected, dict) and isinstance(answer, dict):
        return {name: answer.get(name) for name in expected} == expected
    return bool(answer == expected)


class _Server:
    """A server with a store in a folder; a worker starts when a step needs it."""

    def __init__(self, judge: Judge, setup: Json, folder: Path) -> None:
        self._judge = judge
        self._setup = setup
        self._path = folder / "license.db"
        self._fingerprint: str = setup["fingerprint"]
        self._trusted = judge.trusted()
        self._workers: dict[int, _Worker] = {}

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.store.close()
        self._workers.clear()

    def answer(self, step: Json) -> Any:
        """Return the answer to a step; that of a worker next to others is due within a second."""
        answer = self._answer(step)
        if "worker" in step and step["event"] in _REPEATABLE:
            deadline = monotonic() + _DEADLINE
            while not _agrees(answer, step["expected"]) and monotonic() < deadline:
                Event().wait(0.01)
                answer = self._answer(step)
        return answer

    def _answer(self, step: Json) -> Any:
        match step["event"]:
            case "restart":
                self.close()
                self._trusted = self._judge.trusted(step["trusted"])
            case "machine":
                self._fingerprint = step["fingerprint"]
            case "end of worker":
                self._workers.pop(step["worker"]).store.close()
            case _:
                return times.with_microseconds(self._worker(step.get("worker", 1)).answer(step))
        return None

    def _worker(self, number: int) -> "_Worker":
        if number not in self._workers:
            store = SqliteStore(self._path)
            license_ = ServerLicense(
                self._trusted,
                store,
                fingerprint=lambda: self._fingerprint,
                freshness_window=timedelta(seconds=self._setup["freshnessWindowSeconds"]),
            )
            self._workers[number] = _Worker(self._judge.files, license_, store, self._setup)
        return self._workers[number]


class _Worker:
    """A process of a server; each event of a step is a method."""

    def __init__(
        self, files: Mapping[str, bytes], license_: ServerLicense, store: SqliteStore, setup: Json
    ) -> None:
        self.store = store
        self._files = files
        self._license = license_
        self._app = _App(license_, setup)
        self._live: dict[str, Connection] = {}

    def answer(self, step: Json) -> Any:
        """Return the answer to a step; None for an event without one."""
        now = times.instant(step["now"]) if "now" in step else None
        event: Callable[[Json, Any], Any] = getattr(self, "_" + step["event"].replace(" ", "_"))
        return event(step, now)

    def _install(self, step: Json, now: datetime) -> Json:
        try:
            self._license.install(self._files[step["license"]], now=now, by="ada")
            code = "ok"
        except InstallRefused as refused:
            code = refused.code
        return {"code": code, "state": str(self._license.standing(now).state)}

    def _status(self, step: Json, now: datetime) -> Json:
        return self._license.status(now, users_active=step.get("usersActive", 0)).to_json()

    def _public_status(self, _: Json, now: datetime) -> Json:
        return self._license.status(now, users_active=0).to_public_json()

    def _request(self, step: Json, now: datetime) -> Json:
        return self._app.request(step, now)

    def _websocket(self, step: Json, now: datetime) -> Json:
        return self._app.websocket(step, now)

    def _feature(self, step: Json, now: datetime) -> Json:
        return _decision(self._license.feature(step["feature"], now))

    def _features(self, _: Json, now: datetime) -> list[str]:
        return list(self._license.features(now))

    def _activate_user(self, step: Json, now: datetime) -> Json:
        return _decision(self._license.may_activate_user(step["active"], now))

    def _add_user(self, step: Json, now: datetime) -> Json:
        return _decision(self._license.may_add_user(step["active"], now))

    def _sign_in(self, step: Json, now: datetime) -> Json:
        return {"revoked": list(self._license.sessions_to_revoke(step["others"], now))}

    def _connect(self, step: Json, now: datetime) -> Json:
        made = self._license.connect(
            HostKind(step["kind"]), step["host"], now, request_host=step.get("requestHost")
        )
        if isinstance(made, Refusal):
            return _decision(made)
        self._live[step["connection"]] = made
        return _ALLOWED

    def _disconnect(self, step: Json, _: None) -> None:
        self._license.hosts.disconnect(self._live[step["connection"]])

    def _daily_alerts(self, step: Json, now: datetime) -> Json:
        def send(_: Alert) -> None:
            if not step["delivered"]:
                raise ConnectionError("no mail server")

        admins = [Admin(**each) for each in step["admins"]]
        run = self._license.run_daily(now.astimezone(ZoneInfo(step["zone"])), admins, send=send)
        if run is None:
            return {"due": False}
        without = [each.name for each in run.without_address]
        if run.alert is None:
            return {"due": True, "milestone": None, "withoutAddress": without}
        return {
            "due": True,
            "milestone": run.alert.milestone,
            "daysLeft": run.alert.days_left,
            "to": [each.name for each in run.alert.to],
            "withoutAddress": without,
        }

    def _banner(self, _: Json, now: datetime) -> Json | None:
        banner = self._license.banner(now)
        if banner is None:
            return None
        return {"level": str(banner.level), "daysLeft": banner.days_left}

    def _next_run(self, step: Json, now: datetime) -> Json:
        at = next_run(now.astimezone(ZoneInfo(step["zone"]))).astimezone(UTC)
        return {"at": at.isoformat().replace("+00:00", "Z")}


def _decision(refusal: Refusal | None) -> Json:
    if refusal is None:
        return _ALLOWED
    return {"allowed": False, "status": refusal.status, **refusal.to_json()["error"]}


class _App:
    """An app behind the middleware, which answers what the middleware passes on."""

    def __init__(self, license_: ServerLicense, setup: Json) -> None:
        self._now: datetime | None = None
        routes = {
            (each["method"], each["path"]): Route(each["kind"]) for each in setup.get("routes", [])
        }
        self._middleware = LicenseMiddleware(
            _welcome,
            license=license_,
            now=self._clock,
            routes={**DEFAULT_ROUTES, **routes},
            features=setup.get("features"),
        )

    def request(self, step: Json, now: datetime) -> Json:
        """Return the answer to a request."""
        start, *bodies = self._sent({"type": "http", "method": step["method"]}, step, now)
        return _http_answer(start, bodies)

    def websocket(self, step: Json, now: datetime) -> Json:
        """Return the answer to a websocket: the same as a response and as a close frame."""
        extensions: Message = {"websocket.http.response": {}}
        start, *bodies = self._sent({"type": "websocket", "extensions": extensions}, step, now)
        *_, end = self._sent({"type": "websocket"}, step, now)
        if start["type"] == "websocket.accept":
            return _ALLOWED if end == start else {"closed": end}
        answer = _http_answer(start, bodies)
        reason = f"{answer['code']}: {answer['message']}"
        if end != {"type": "websocket.close", "code": 1008, "reason": reason}:
            return {"closed": end}
        return answer

    def _clock(self) -> datetime:
        assert self._now is not None
        return self._now

    def _sent(self, scope: Message, step: Json, now: datetime) -> list[Message]:
        self._now = now
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in step["headers"]
        ]
        # As servers decode a path.
        path = unquote_to_bytes(step["path"]).decode("utf-8", "surrogateescape")
        asyncio.run(self._middleware({**scope, "path": path, "headers": headers}, receive, send))
        return sent


async def _welcome(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})


def _http_answer(start: Message, bodies: list[Message]) -> Json:
    if start["status"] == 200:
        return _ALLOWED
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    error = json.loads(b"".join(each["body"] for each in bodies))["error"]
    return {"allowed": False, "status": start["status"], **error}
