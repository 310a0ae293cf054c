"""Installed license, states and clock."""

from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from support.lic_files import ISSUED, Issuer, license_id
from support.servers import ANOTHER_MACHINE, DAY, MACHINE, Server

from polygent_issuer.enforcement import InstallRefused, State
from polygent_issuer.verifier import AllowedDomain, CheckCode, KeySet, Limits, Verifier

YEARS = timedelta(days=3650)


def test_success_takes_effect_at_once(server: Server) -> None:
    """An installation takes effect without a restart, and is still there after one."""
    assert server.state() is State.NONE
    server.install(0)
    assert server.held().jti == license_id(0)
    server.restart()
    assert server.held().jti == license_id(0)


REFUSED: list[tuple[str, dict[str, Any], timedelta]] = [
    ("expired", {"exp": int((ISSUED + DAY).timestamp()) + 1}, timedelta()),
    ("not_yet_valid", {}, -timedelta(hours=1, minutes=6)),
    ("stale_issue_date", {}, 14 * DAY),
    ("machine_mismatch", {"fingerprint": ANOTHER_MACHINE}, timedelta()),
]


@pytest.mark.parametrize(("code", "claims", "later"), REFUSED)
def test_failure_leaves_the_installed_license(
    server: Server, code: str, claims: dict[str, Any], later: timedelta
) -> None:
    """`install` checks machine, freshness window and expiry; after a failure the license stays."""
    server.install(0)
    server.now += DAY + later
    refused = server.refused(server.issuer.file(1, **claims))
    assert refused.code == code
    assert refused.license is not None
    assert refused.license.jti == license_id(1)
    assert server.held().jti == license_id(0)
    assert server.store.load().in_force == license_id(0)


def test_install_checks_no_host(server: Server) -> None:
    """A license for a domain can be installed under any host name."""
    installed = server.install(0, fingerprint=None, allowed_domain=AllowedDomain("*.acme.internal"))
    assert server.held() == installed


def test_the_last_moment_of_the_freshness_window(server: Server) -> None:
    """The window is the server's own and includes its last microsecond."""
    server.now = ISSUED + 14 * DAY + timedelta(microseconds=1)
    assert server.refused(server.issuer.file(0)).code == CheckCode.STALE_ISSUE_DATE
    server.now = ISSUED + 14 * DAY
    assert server.install(0) == server.held()


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"a.b.c", b"x" * 1_000_000])
def test_a_file_other_than_a_license_is_refused(server: Server, data: bytes) -> None:
    """Any bytes may be uploaded, and the log has the attempt."""
    assert server.refused(data).code == CheckCode.MALFORMED
    assert [(each.license_id, each.outcome) for each in server.log()] == [(None, "malformed")]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_bytes_too(server: Server, kind: Any) -> None:
    """A buffer of a web framework is copied, so later changes to it have no effect."""
    data = kind(bytearray(server.issuer.file(0)))
    server.upload(data)
    data[:] = b"x" * len(data)
    server.held()
    server.restart()
    server.held()


def test_superseded_by_issue_date(server: Server) -> None:
    """A license with the same `sub` and machine, and a lower `iat`, is `superseded`."""
    server.now += 2 * DAY
    server.install(2)
    generous = server.issuer.file(1, limits=Limits(users=999, session_hosts=99, deploy_hosts=99))
    assert server.refused(generous).code == "superseded"
    assert server.held().jti == license_id(2)


def test_superseded_by_domain_scope(server: Server) -> None:
    """The same applies to the same domain; another domain is another scope."""
    enterprise = {"fingerprint": None, "allowed_domain": AllowedDomain("*.acme.internal")}
    server.now += 2 * DAY
    server.install(2, **enterprise)
    assert server.refused(server.issuer.file(1, **enterprise)).code == "superseded"
    elsewhere = {"fingerprint": None, "allowed_domain": AllowedDomain("acme.example")}
    assert server.install(1, **elsewhere) == server.held()
    assert server.refused(server.issuer.file(1, **enterprise)).code == "superseded"


def test_another_customer_is_another_scope(server: Server) -> None:
    """A license of another `sub` is not `superseded`."""
    server.now += 2 * DAY
    server.install(2, sub="globex")
    assert server.install(1) == server.held()


def test_superseded_by_being_replaced(server: Server) -> None:
    """A license in `replaces` of an installed one is `superseded`, in any scope and at any time."""
    old = server.issuer.file(0)
    server.upload(old)
    server.now += 3 * DAY
    server.fingerprint = ANOTHER_MACHINE
    server.install(2, fingerprint=ANOTHER_MACHINE, replaces=(0,))
    server.install(3, fingerprint=ANOTHER_MACHINE)
    server.fingerprint = MACHINE
    assert server.refused(old).code == "superseded"
    server.restart()
    assert server.refused(old).code == "superseded"


def test_a_mangled_upload_gets_its_hint(server: Server) -> None:
    """The refusal has the verifier's hint: a ZIP, a saved mail, a quoted copy."""
    text = server.issuer.file(0).decode()
    for data, hint in (
        (b"PK\x03\x04", "this is a ZIP archive: unpack it"),
        (b"MIME-Version: 1.0\n", "this is a saved mail"),
        (f"> {text[:70]}\n> {text[70:]}".encode(), "the license was copied from a quoted mail"),
    ):
        refused = server.refused(data)
        assert (refused.code, str(refused.hint).startswith(hint)) == ("malformed", True)


def test_of_two_from_the_same_second_either_may_follow(server: Server) -> None:
    """An `iat` below the installed one's is refused, an equal one is not."""
    server.install(0)
    server.install(0, jti=license_id(7))
    assert server.install(0) == server.held()


def test_the_installed_license_may_be_installed_again(server: Server) -> None:
    """It stays installed, is one installation, and is logged."""
    server.install(0)
    server.install(0)
    assert len(server.store.load().installations) == 1
    assert [each.outcome for each in server.log()] == ["installed", "installed"]


def test_a_removed_key_keeps_the_history(server: Server) -> None:
    """An older file stays refused after the newer one's key was removed."""
    other = Issuer()
    both = Verifier(KeySet(server.issuer.signer.public_key, other.signer.public_key))
    server.restart(both)
    server.now += 2 * DAY
    server.upload(other.file(2))
    server.restart()
    assert server.state() is State.NOT_AUTHENTIC
    assert server.refused(server.issuer.file(1)).code == "superseded"
    assert server.install(2, jti=license_id(9)) == server.held()


def test_a_license_that_was_signed_again_with_another_key(server: Server) -> None:
    """The identity of a license is its `jti`, and the last bytes are stored."""
    server.install(0)
    other = Issuer()
    server.restart(Verifier(KeySet(other.signer.public_key)))
    assert server.state() is State.NOT_AUTHENTIC
    server.upload(other.file(0))
    server.held()
    assert len(server.store.load().installations) == 1


def test_a_license_that_is_signed_again_replaces_both_times(server: Server) -> None:
    """It replaces the licenses that it named the first time and those that it names now."""
    server.now += 3 * DAY
    server.install(0, replaces=(1,))
    server.install(0, replaces=(2,))
    server.restart()
    for number in (1, 2):
        with pytest.raises(InstallRefused) as refused:
            server.install(number)
        assert refused.value.code == "superseded"


def test_one_of_two_concurrent_installs_is_superseded(server: Server) -> None:
    """Check and storage are one step, so the newer license remains in any order."""
    server.now += 9 * DAY
    files = [server.issuer.file(number) for number in range(8)]
    barrier = Barrier(len(files))
    codes: set[str] = set()

    def upload(data: bytes) -> None:
        barrier.wait()
        try:
            server.upload(data)
        except InstallRefused as refused:
            codes.add(refused.code)

    threads = [Thread(target=upload, args=(data,)) for data in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.held().jti == license_id(7)
    assert codes <= {"superseded"}
    assert len(server.log()) == 8


def test_every_attempt_is_logged(server: Server) -> None:
    """The install log has every attempt with time, user, license and outcome."""
    server.now += DAY
    server.install(1, fingerprint=None)
    server.now += timedelta(minutes=1)
    server.refused(server.issuer.file(0, fingerprint=None))
    newest, first = server.log()
    assert (newest.by, newest.at, newest.license_id, newest.outcome) == (
        *("ada", server.now),
        *(license_id(0), "superseded"),
    )
    assert (first.customer, first.license_id, first.outcome) == (
        *("Acme GmbH", license_id(1)),
        "installed",
    )


def test_no_control_character_gets_into_the_log(server: Server) -> None:
    """The name of the user who uploads may be any text."""
    data = server.issuer.file(0)
    server.license.install(data, now=server.now, by="a\x1b[2J\r\n\u202eb\ud800" + "c" * 999)
    (entry,) = server.log()
    assert entry.by.startswith("a\ufffd[2J\ufffd\ufffd\ufffdb\ufffdccc")
    assert len(entry.by) == 200


def at_none(_server: Server) -> None:
    """Nothing is installed."""


def at_expired(server: Server) -> None:
    """The license has expired."""
    server.install(0)
    server.now = ISSUED + 365 * DAY


def at_not_yet_valid(server: Server) -> None:
    """The clock is more than five minutes before the issue."""
    server.install(0)
    server.now = ISSUED - timedelta(minutes=5, microseconds=1)


def at_machine_changed(server: Server) -> None:
    """The machine's identity has changed."""
    server.install(0)
    server.fingerprint = ANOTHER_MACHINE


def at_clock_tampered(server: Server) -> None:
    """The clock was set back by more than a day, but not to before the issue."""
    server.now += 2 * DAY
    server.install(0)
    server.now -= DAY + timedelta(microseconds=1)


def at_not_authentic(server: Server) -> None:
    """The key is no longer trusted."""
    server.install(0)
    server.restart(Verifier(KeySet(Issuer().signer.public_key)))


INACTIVE = {
    State.NONE: at_none,
    State.EXPIRED: at_expired,
    State.NOT_YET_VALID: at_not_yet_valid,
    State.MACHINE_CHANGED: at_machine_changed,
    State.CLOCK_TAMPERED: at_clock_tampered,
    State.NOT_AUTHENTIC: at_not_authentic,
}


@pytest.mark.parametrize("state", State)
def test_states(server: Server, state: State) -> None:
    """A server has one of seven states, from no license to a license that is not authentic."""
    if state is State.ACTIVE:
        server.install(0)
    else:
        INACTIVE[state](server)
    assert server.state() is state
    assert server.license.standing(server.now).active == (state is State.ACTIVE)
    if state is State.ACTIVE:
        assert server.held().jti == license_id(0)
    else:
        answer = server.answer()
        assert (answer.status, answer.code) == (503, f"license_{state}")
        assert MACHINE not in str(answer)


@pytest.mark.parametrize("state", [State.EXPIRED, State.MACHINE_CHANGED, State.CLOCK_TAMPERED])
def test_a_state_names_the_license(server: Server, state: State) -> None:
    """A server can show the customer of an expired license."""
    INACTIVE[state](server)
    standing = server.license.standing(server.now)
    assert standing.license is not None
    assert standing.license.customer == "Acme GmbH"


def test_a_state_ends_with_its_cause(server: Server) -> None:
    """The license is active again once the machine's identity or the clock is right again."""
    at_machine_changed(server)
    assert server.state() is State.MACHINE_CHANGED
    server.fingerprint = MACHINE
    assert server.state() is State.ACTIVE


def test_between_commits_every_boundary_is_exact(server: Server) -> None:
    """A cached decision is the same as a new one."""
    server.install(0, exp=int(ISSUED.timestamp()) + 3_630)
    last = ISSUED + timedelta(seconds=3_630)
    server.held()
    server.now = last - timedelta(microseconds=1)
    server.held()
    server.now = last
    assert server.answer().code == "license_expired"
    server.now = ISSUED - timedelta(minutes=5)
    server.held()
    server.now -= timedelta(microseconds=1)
    assert server.answer().code == "license_not_yet_valid"


def test_a_changed_machine_is_seen_between_commits(server: Server) -> None:
    """The fingerprint is read at every check."""
    server.install(0)
    server.held()
    server.fingerprint = ANOTHER_MACHINE
    assert server.answer().code == "license_machine_changed"


def test_a_way_out_for_a_clock_that_jumped_ahead(server: Server) -> None:
    """A license that was never installed, with the greatest `iat`, clears the guard."""
    server.install(0)
    server.now += YEARS
    server.state()
    server.now -= YEARS - DAY
    assert server.state() is State.CLOCK_TAMPERED
    server.install(1)
    assert server.held().jti == license_id(1)
    assert server.guard().last_seen == server.now
    server.restart()
    assert server.held().jti == license_id(1)


def test_clearing_sets_last_seen_to_the_greater(server: Server) -> None:
    """Clearing the guard sets last-seen to max(now, `iat`)."""
    server.now = ISSUED - timedelta(minutes=4)
    server.install(0)
    assert server.guard().last_seen == ISSUED
    server.now += timedelta(minutes=10)
    server.install(1, iat=int(ISSUED.timestamp()) + 1)
    assert server.guard().last_seen == server.now


def test_neither_the_same_license_nor_an_older_one_clears_the_guard(server: Server) -> None:
    """While the guard is tampered, an install takes effect at once or is refused."""
    server.now += 3 * DAY
    server.install(2)
    server.now += 40 * DAY
    server.state()
    server.now -= 40 * DAY
    assert server.refused(server.issuer.file(2)).code == CheckCode.CLOCK_TAMPERED
    another_scope = {"fingerprint": None, "iat": int(ISSUED.timestamp())}
    assert server.refused(server.issuer.file(3, **another_scope)).code == CheckCode.CLOCK_TAMPERED
    same_second = {"iat": int((ISSUED + 2 * DAY).timestamp())}
    assert server.refused(server.issuer.file(4, **same_second)).code == CheckCode.CLOCK_TAMPERED
    assert server.state() is State.CLOCK_TAMPERED


def test_a_tampered_guard_is_sticky(server: Server) -> None:
    """Changes of the clock below last-seen have no effect; only a later clock clears the guard."""
    server.install(0)
    server.now += 9 * DAY
    server.state()
    server.now -= 2 * DAY
    assert server.state() is State.CLOCK_TAMPERED
    last = server.guard().last_seen
    assert last is not None
    for now in (last - timedelta(hours=1), last - 3 * DAY, last):
        server.now = now
        assert server.state() is State.CLOCK_TAMPERED
        server.restart()
        assert server.state() is State.CLOCK_TAMPERED
        assert server.guard().tampered
    server.now = last + timedelta(microseconds=1)
    assert server.state() is State.ACTIVE
    assert not server.guard().tampered


def test_each_transition_is_stored_before_its_effect(server: Server) -> None:
    """The guard of FORMAT §5 is stored; a later `last_seen` only once a minute."""
    server.install(0)
    begun = server.now
    server.now = begun + timedelta(seconds=60) - timedelta(microseconds=1)
    server.held()
    server.state()
    assert server.guard().last_seen == begun
    server.now = begun + timedelta(seconds=60)
    server.held()
    assert server.guard().last_seen == server.now
    server.now -= DAY
    server.state()
    assert not server.guard().tampered
    server.now -= timedelta(microseconds=1)
    assert server.answer().code == "license_not_yet_valid"
    assert server.guard().tampered


def test_a_set_back_is_seen_between_commits(server: Server) -> None:
    """A request detects it: exactly a day back is accepted, a microsecond more is not."""
    server.install(0)
    server.now += 9 * DAY
    server.held()
    server.now -= DAY
    server.held()
    assert not server.guard().tampered
    server.now -= timedelta(microseconds=1)
    assert server.answer().code == "license_clock_tampered"
    assert server.guard().tampered


def test_a_naive_now_is_the_callers_mistake(server: Server) -> None:
    """A naive `now` is refused before any check, write or log entry, also between commits."""
    server.install(0)
    server.held()
    naive = server.now.replace(tzinfo=None)
    with pytest.raises(ValueError, match="timezone-aware"):
        server.license.active(naive)
    with pytest.raises(ValueError, match="timezone-aware"):
        server.license.standing(naive)
    with pytest.raises(ValueError, match="timezone-aware"):
        server.license.install(server.issuer.file(1), now=naive, by="ada")
    assert len(server.log()) == 1


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59"])
def test_any_aware_now_is_checked(server: Server, now: str) -> None:
    """Instants outside the calendar in UTC are accepted too."""
    server.install(0)
    server.now = datetime.fromisoformat(now)
    assert server.state() in {State.NOT_YET_VALID, State.EXPIRED}
    server.restart()
    assert server.state() in {State.NOT_YET_VALID, State.EXPIRED}
