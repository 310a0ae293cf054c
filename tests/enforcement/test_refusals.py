"""All refusals and errors have status, code, message, hint and one JSON form."""

import json
import traceback
from collections.abc import Iterator

import pytest
from support.servers import ANOTHER_MACHINE, DAY, Server

from polygent_issuer.enforcement import (
    HostKind,
    InstallRefused,
    NoMachineInfo,
    Refusal,
    Refused,
    StoreFailed,
    refusals,
)
from polygent_issuer.verifier import CheckCode, InvalidKey, KeySet


def every(server: Server) -> Iterator[Refusal | InstallRefused | StoreFailed]:
    """Yield one refusal or error of each code."""
    yield from refusals.OF_STATE.values()
    yield from (refusals.STORE_FAILED, refusals.DOMAIN_MISMATCH)
    yield from (refusals.MALFORMED_PATH, refusals.HOST_LIMIT, refusals.user_limit(1, 1))
    server.install(0)
    feature = server.license.feature("sso-saml", server.now)
    assert feature is not None
    yield feature
    yield from (server.refused(b""), server.refused(server.issuer.file(1, ver=2)))
    yield server.refused(server.issuer.file(1, fingerprint=ANOTHER_MACHINE))
    server.fingerprint = "short"
    yield server.refused(server.issuer.file(1))
    for code in CheckCode:
        yield InstallRefused(code, "why")
    yield StoreFailed("why")
    server.store.close()
    with pytest.raises(StoreFailed) as failed:
        server.store.load()
    yield failed.value


def test_every_refusal_has_the_same_form(server: Server) -> None:
    """`to_json` has exactly the code, message and hint; the hint is never empty."""
    for each in every(server):
        body = json.loads(json.dumps(each.to_json()))
        assert body["error"].pop("feature", "sso-saml") == "sso-saml"
        assert body == {"error": {"code": each.code, "message": each.message, "hint": each.hint}}
        assert each.hint
        assert each.message


def test_the_status_of_errors(server: Server) -> None:
    """A refused file is 400 like a wrong request, a failed store is 503 like its refusal."""
    failed = StoreFailed("why")
    assert (server.refused(b"").status, failed.status) == (400, refusals.STORE_FAILED.status)
    assert failed.code == refusals.STORE_FAILED.code


def test_a_given_hint_stays() -> None:
    """The default hint is only for a cause without its own."""
    assert StoreFailed("why", hint="stop process 7").hint == "stop process 7"
    assert InstallRefused("superseded", "why", hint="upload the newest").hint == "upload the newest"


def test_a_machine_mismatch_without_a_hint_is_the_servers_own() -> None:
    """A reissued license does not help a server that gives a wrong fingerprint."""
    hint = InstallRefused("machine_mismatch", "the given fingerprint is invalid").hint
    assert "fingerprint" in hint
    assert hint != InstallRefused("malformed", "why").hint


def test_a_raised_refusal_has_its_parts(server: Server) -> None:
    """`Refused` is answered like the refusal that it carries."""
    server.install(0)
    at = server.now + 400 * DAY
    with pytest.raises(Refused) as refused, server.license.connected(HostKind.SESSION, "a", at):
        pass
    error, refusal = refused.value, refused.value.refusal
    assert error.to_json() == refusal.to_json()
    assert (error.status, error.code) == (503, "license_expired")
    assert (error.message, error.hint) == (refusal.message, refusal.hint)


def test_a_traceback_shows_the_fix() -> None:
    """A server that does not start has only this to go by."""
    with pytest.raises(InvalidKey) as refused:
        KeySet.from_pem(b"")
    failed, unknown = StoreFailed("why"), NoMachineInfo("why", hint="create one")
    for error in (refused.value, failed, unknown):
        assert error.hint is not None
        lines = traceback.format_exception(error)
        assert lines[-1] == f"hint: {error.hint}\n"
