"""Random sequences of a server's events, compared with a model."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.lic_files import ISSUED, Issuer
from support.servers import DAY, Server

from polygent_issuer.enforcement import (
    Admin,
    Connection,
    HostKind,
    InstallRefused,
    Refusal,
    Route,
    State,
)
from polygent_issuer.verifier import License, Limits

ISSUER = Issuer()
ADA = Admin(name="Ada", address="ada@acme.example")
KINDS = st.sampled_from(HostKind)


class Life(RuleBasedStateMachine):
    """A server's events; each result is compared with the events before it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.server = Server(self.folder / "license.db", issuer=ISSUER)
        self.live: dict[HostKind, list[Connection]] = {kind: [] for kind in HostKind}
        self.allowed: dict[HostKind, int] = dict.fromkeys(HostKind, 0)
        self.sent: list[tuple[str, int]] = []
        self.installed: list[License] = []
        self.number = 0

    def teardown(self) -> None:
        self.server.store.close()
        shutil.rmtree(self.folder)

    @initialize(hosts=st.integers(0, 3))
    def first(self, hosts: int) -> None:
        self.upload(0, hosts, 60, ())

    @rule(
        back=st.integers(0, 40),
        hosts=st.integers(0, 3),
        days=st.integers(1, 60),
        replaces=st.sets(st.integers(0, 5), max_size=2),
    )
    def install(self, back: int, hosts: int, days: int, replaces: set[int]) -> None:
        """Install a file issued up to 40 days before the server's date, or the day after."""
        today = (self.server.now - ISSUED).days
        self.upload(max(0, today + 1 - back), hosts, days, tuple(replaces))

    def upload(self, number: int, hosts: int, days: int, replaces: tuple[int, ...]) -> None:
        limits = Limits(users=1, session_hosts=hosts, deploy_hosts=hosts)
        issued = int((ISSUED + number * DAY).timestamp())
        claims: dict[str, Any] = {
            "limits": limits,
            "exp": issued + days * 86_400,
            "replaces": tuple(each for each in replaces if each != number),
        }
        before = self.server.license.standing(self.server.now)
        guard = self.server.guard()
        try:
            license_ = self.server.install(number, **claims)
        except InstallRefused:
            assert self.server.license.standing(self.server.now) == before
            return
        assert self.server.held() == license_
        assert all(license_.iat >= each.iat for each in self.installed)
        assert all(license_.jti not in each.replaces for each in self.installed)
        if guard.tampered:
            assert all(license_.iat > each.iat for each in self.installed)
        self.installed.append(license_)
        for kind in HostKind:
            self.allowed[kind] = max(hosts, self.server.license.hosts.connected(kind))

    @rule(hours=st.integers(-100, 400), micro=st.integers(-1, 1))
    def clock(self, hours: int, micro: int) -> None:
        """Move the clock forward, or back by up to four days."""
        self.move(timedelta(hours=hours, microseconds=micro))

    @rule(days=st.sampled_from([30, 14, 7, 1, 0]), micro=st.integers(-1, 1))
    def approach(self, days: int, micro: int) -> None:
        """Move the clock to a milestone of the installed license."""
        license_ = self.server.license.standing(self.server.now).license
        if license_ is not None:
            then = license_.expires_at - days * DAY + timedelta(microseconds=micro)
            self.move(then - self.server.now)

    def move(self, by: timedelta) -> None:
        guard = self.server.guard()
        self.server.now = max(ISSUED - 9 * DAY, self.server.now + by)
        state = self.server.state()
        after = self.server.guard()
        assert guard.last_seen is not None
        assert after.last_seen is not None
        assert after.last_seen >= guard.last_seen
        if guard.tampered and self.server.now <= guard.last_seen:
            assert after == guard
            assert state is not State.ACTIVE
        if self.server.now < guard.last_seen - DAY:
            assert after.tampered

    @rule(kind=KINDS, host=st.sampled_from("abcdef"))
    def connect(self, kind: HostKind, host: str) -> None:
        hosts = {each.host for each in self.live[kind]}
        license_ = self.server.license.active(self.server.now)
        connection = self.server.license.connect(kind, host, self.server.now)
        if isinstance(license_, Refusal):
            assert connection == license_
        elif host in hosts or len(hosts) < license_.limits.session_hosts:
            assert isinstance(connection, Connection)
            self.live[kind].append(connection)
        else:
            assert isinstance(connection, Refusal)
            assert connection.code == "host_limit"

    @precondition(lambda self: any(self.live.values()))
    @rule(choice=st.randoms(use_true_random=False))
    def disconnect(self, choice: Any) -> None:
        kind = choice.choice([kind for kind in HostKind if self.live[kind]])
        connection = choice.choice(self.live[kind])
        self.server.license.hosts.disconnect(connection)
        self.server.license.hosts.disconnect(connection)
        self.live[kind].remove(connection)

    @rule(fails=st.booleans())
    def alert(self, *, fails: bool) -> None:
        """Run the alerts; a mail that fails is not confirmed."""
        alert = self.server.license.alerts(self.server.now, [ADA]).alert
        if alert is not None:
            key = (alert.license_id, alert.milestone)
            earlier = [days for jti, days in self.sent if jti == alert.license_id]
            assert all(days > alert.milestone for days in earlier)
            assert self.server.state() is State.ACTIVE
            if not fails:
                self.server.license.alert_sent(alert)
                self.sent.append(key)

    @rule()
    def restart(self) -> None:
        """A restart changes nothing, except that connections end with the process."""
        before = self.seen()
        self.server.restart()
        assert self.seen() == before
        self.live = {kind: [] for kind in HostKind}
        self.allowed = dict.fromkeys(HostKind, 0)

    def seen(self) -> tuple[object, ...]:
        server, now = self.server, self.server.now
        standing = server.license.standing(now)
        return (
            *(standing, server.license.judge(Route.API, now=now), server.license.banner(now)),
            *(server.store.load(), server.log()),
        )

    @invariant()
    def what_is_answered_is_what_a_fresh_look_finds(self) -> None:
        quick = self.server.license.active(self.server.now)
        standing = self.server.license.standing(self.server.now)
        assert isinstance(quick, License) == standing.active
        assert isinstance(quick, Refusal) or quick == standing.license

    @invariant()
    def hosts_are_counted_exactly(self) -> None:
        for kind in HostKind:
            connected = self.server.license.hosts.connected(kind)
            assert connected == len({each.host for each in self.live[kind]})
            license_ = self.server.license.standing(self.server.now).license
            if license_ is not None:
                self.allowed[kind] = max(self.allowed[kind], license_.limits.session_hosts)
            assert connected <= self.allowed[kind]

    @invariant()
    def no_milestone_is_sent_twice(self) -> None:
        assert len(set(self.sent)) == len(self.sent)

    @invariant()
    def memory_is_what_is_stored(self) -> None:
        assert self.server.license._memory.read()[0] == self.server.store.load()


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(stateful_step_count=40)
