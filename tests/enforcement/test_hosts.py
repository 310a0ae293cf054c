"""Limits of connected hosts."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from support.servers import DAY, Server

from polygent_issuer.enforcement import Connection, HostCaps, HostKind, Refusal, Refused
from polygent_issuer.verifier import AllowedDomain, Limits

SESSION, DEPLOY = HostKind.SESSION, HostKind.DEPLOY


def connected(caps: HostCaps, kind: HostKind, host: str, cap: int) -> Connection:
    """Return a connection, which must not be refused."""
    connection = caps.connect(kind, host, cap=cap)
    assert isinstance(connection, Connection)
    return connection


def test_kinds_are_counted_apart(server: Server) -> None:
    """Session agents and deploy agents are counted separately, each by its limit in the license."""
    server.install(0, limits=Limits(users=1, session_hosts=2, deploy_hosts=1))
    for kind, hosts, cap in ((SESSION, "abc", 2), (DEPLOY, "ab", 1)):
        answers = [server.license.connect(kind, host, server.now) for host in hosts]
        assert [isinstance(each, Connection) for each in answers] == [
            *([True] * cap),
            False,
        ]
        assert server.license.hosts.connected(kind) == cap


def test_one_more_than_the_cap(server: Server) -> None:
    """One host more than the limit gets "concurrent host limit reached"."""
    server.install(0, limits=Limits(users=1, session_hosts=0, deploy_hosts=1))
    refused = server.license.connect(SESSION, "a", server.now)
    assert isinstance(refused, Refusal)
    assert refused.message == "concurrent host limit reached"
    assert refused.code == "host_limit"


def test_a_reconnect_is_not_counted_twice() -> None:
    """A host with a live connection can always connect again, and is counted once."""
    caps = HostCaps()
    first = connected(caps, SESSION, "a", 1)
    second = connected(caps, SESSION, "a", 1)
    assert caps.connected(SESSION) == 1
    caps.disconnect(first)
    assert isinstance(caps.connect(SESSION, "b", cap=1), Refusal)
    caps.disconnect(second)
    assert caps.connected(SESSION) == 0
    connected(caps, SESSION, "b", 1)


def test_a_lowered_cap_disconnects_no_host(server: Server) -> None:
    """A lowered limit disconnects no host, and a connected host may connect again."""
    server.install(0, limits=Limits(users=1, session_hosts=3, deploy_hosts=0))
    live = [server.license.connect(SESSION, host, server.now) for host in "abc"]
    server.now += DAY
    server.install(1, limits=Limits(users=1, session_hosts=1, deploy_hosts=0))
    assert server.license.hosts.connected(SESSION) == 3
    assert isinstance(server.license.connect(SESSION, "c", server.now), Connection)
    assert isinstance(server.license.connect(SESSION, "d", server.now), Refusal)
    for each in live[:2]:
        assert isinstance(each, Connection)
        server.license.hosts.disconnect(each)
    assert isinstance(server.license.connect(SESSION, "d", server.now), Refusal)


def test_to_disconnect_twice_changes_nothing() -> None:
    """A connection ends once, even if its host has another; one of another process never ends."""
    caps, another = HostCaps(), HostCaps()
    first = connected(caps, SESSION, "a", 1)
    connected(caps, SESSION, "a", 1)
    caps.disconnect(first)
    caps.disconnect(first)
    assert caps.connected(SESSION) == 1
    for _ in range(3):
        foreign = connected(another, SESSION, "a", 1)
    caps.disconnect(foreign)
    assert caps.connected(SESSION) == 1


@pytest.mark.parametrize("host", ["", "A", "a\x00", "\x1b[2J", "\ud800", "a" * 10_000])
def test_any_name_is_a_host(host: str) -> None:
    """Names of hosts are compared exactly, and never shown."""
    caps = HostCaps()
    connected(caps, DEPLOY, "a", 1)
    refused = caps.connect(DEPLOY, host, cap=1)
    assert isinstance(refused, Refusal)
    assert refused == HostCaps().connect(DEPLOY, "a", cap=0)
    connected(caps, DEPLOY, host, 2)
    assert caps.connected(DEPLOY) == 2


def test_agents_are_refused_in_every_other_state(server: Server) -> None:
    """Session and deploy agents are refused at connect unless the license is active."""
    refused = server.license.connect(SESSION, "a", server.now)
    assert isinstance(refused, Refusal)
    assert refused.code == "license_none"
    server.install(0)
    assert isinstance(server.license.connect(SESSION, "a", server.now), Connection)
    server.now += 365 * DAY
    refused = server.license.connect(SESSION, "a", server.now)
    assert isinstance(refused, Refusal)
    assert refused.code == "license_expired"
    assert server.license.hosts.connected(SESSION) == 1


def test_agents_of_another_domain_are_refused(server: Server) -> None:
    """The allowed domain also applies to an agent's request."""
    server.install(0, fingerprint=None, allowed_domain=AllowedDomain("acme.internal"))
    refused = server.license.connect(SESSION, "a", server.now, request_host="other.internal")
    assert isinstance(refused, Refusal)
    assert refused.code == "domain_mismatch"
    allowed = server.license.connect(SESSION, "a", server.now, request_host="acme.internal:443")
    assert isinstance(allowed, Connection)


def test_exact_counts_from_eight_threads() -> None:
    """Counts are exact after 10,000 connects and disconnects in 8 threads."""
    caps, cap, each = HostCaps(), 5, 1_250
    barrier = Barrier(8)
    seen: list[int] = []
    connections: list[Connection] = []

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(each):
            connection = caps.connect(SESSION, f"{number}-{turn % 3}", cap=cap)
            seen.append(caps.connected(SESSION))
            if isinstance(connection, Connection):
                if turn == each - 1:
                    connections.append(connection)
                else:
                    caps.disconnect(connection)

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 10_000
    assert max(seen) <= cap
    assert caps.connected(SESSION) == len({each.host for each in connections})
    for connection in connections:
        caps.disconnect(connection)
    assert caps.connected(SESSION) == 0


def test_connects_race_with_installs(server: Server) -> None:
    """While a renewal lowers the limit, the greater of the two is never exceeded."""
    files = [
        server.issuer.file(number, limits=Limits(users=1, session_hosts=cap, deploy_hosts=0))
        for number, cap in ((0, 8), (1, 4))
    ]
    server.now += DAY + timedelta(minutes=1)
    server.upload(files[0])
    barrier = Barrier(9)

    def agent(number: int) -> None:
        barrier.wait()
        for turn in range(50):
            connection = server.license.connect(SESSION, f"{number}-{turn}", server.now)
            if isinstance(connection, Connection):
                assert server.license.hosts.connected(SESSION) <= 8
                server.license.hosts.disconnect(connection)

    threads = [Thread(target=agent, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait()
    server.upload(files[1])
    for thread in threads:
        thread.join()
    assert server.license.hosts.connected(SESSION) == 0


def test_a_block_counts_a_host_and_gives_it_back(server: Server) -> None:
    """`connected` counts while its block runs, however it ends; over the limit it does not run."""
    server.install(0, limits=Limits(users=1, session_hosts=1, deploy_hosts=0))

    def connected(host: str) -> None:
        with server.license.connected(SESSION, host, server.now):
            assert server.license.hosts.connected(SESSION) == 1
            assert host == "a"
            with pytest.raises(Refused, match="limit") as refused:
                connected("b")
            assert refused.value.refusal.code == "host_limit"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connected("a")
    assert server.license.hosts.connected(SESSION) == 0
