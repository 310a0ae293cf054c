"""Pickle and copy keep all parts of public values and errors."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from types import ModuleType
from typing import Any

import pytest
from support.servers import ANOTHER_MACHINE, DAY, MACHINE, Server
from vectors.signing import EXAMPLE

from polygent_issuer import enforcement, verifier
from polygent_issuer.enforcement import (
    Admin,
    Claims,
    HostCaps,
    HostKind,
    LicenseMiddleware,
    NoMachineInfo,
    Refused,
)
from polygent_issuer.verifier import (
    AllowedDomain,
    ClockGuard,
    InvalidDomain,
    InvalidKey,
    Key,
    KeySet,
    LicenseError,
    Verifier,
    VerifierError,
)

NOW = datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=UTC)
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
LIVE = {"Claims", "HostCaps", "LicenseMiddleware", "ServerLicense", "SqliteStore"}
PROTOCOL_CLASSES = {"Pausable", "Store"}


def pickled(value: Any, protocol: int) -> Any:
    """Return the unpickled copy of an object."""
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - made in this line


WAYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {each}": partial(pickled, protocol=each) for each in PROTOCOLS},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def raised(act: Callable[[], object]) -> Exception:
    """Return the error that a call raises."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - the tests compare it
        return error
    raise AssertionError


def of_verifier(server: Server) -> Iterator[object]:
    """Yield examples of everything that the verifier returns or raises."""
    keys = KeySet(server.issuer.signer.public_key)
    verify = partial(Verifier(keys).verify, now=NOW, fingerprint=MACHINE)
    file, domain = server.issuer.file(1), AllowedDomain("*.acme.internal")
    enterprise = server.issuer.file(2, fingerprint=None, allowed_domain=domain)
    license_ = Verifier(keys).authenticate(enterprise)
    yield from (keys, *keys, Verifier(keys), domain, ClockGuard(), ClockGuard(NOW, tampered=True))
    yield KeySet(*keys, Key.from_jwk(EXAMPLE.jwk, allow_example=True), allow_example=True)
    yield from (license_, license_.limits, Verifier(keys).authenticate(file))
    for data in (b"", enterprise):
        report = Verifier(keys).report(data, now=NOW, host="acme.example")
        yield from (report, *report.rows)
    yield raised(lambda: verify(b""))
    yield raised(lambda: verify(file[:-9] + b"A" * 8 + b"\n"))
    yield raised(lambda: verify(file, now=NOW + 9_999 * DAY))
    yield raised(lambda: verify(file, fingerprint=ANOTHER_MACHINE))
    yield raised(lambda: verify(enterprise, host="acme.example"))
    yield raised(lambda: Verifier(KeySet()).verify(file, now=NOW))
    yield from (raised(lambda: AllowedDomain("ü")), raised(lambda: KeySet.from_pem(b"PRIVATE KEY")))
    yield VerifierError("why", hint="what to do")


def of_enforcement(server: Server) -> Iterator[object]:
    """Yield examples of everything that a server's license returns or raises."""
    own, now, later = server.license, server.now, server.now + 350 * DAY
    yield from (own.standing(now), own.active(now), raised(lambda: server.upload(b"\x1b")))
    server.install(0)
    yield raised(lambda: server.upload(server.issuer.file(0, fingerprint=ANOTHER_MACHINE)))
    admins = (Admin(name="ada", address="ada@acme.example"), Admin(name="bob", address=None))
    status = own.status(now, users_active=1)
    yield from (own.standing(now), own.feature("sso-saml", now), own.may_add_user(99, now))
    yield from (own.connect(HostKind.SESSION, "h", now), status, status.users, *admins)
    alerts = own.alerts(later, admins)
    yield from (alerts, alerts.alert, own.banner(later))
    yield from (server.store.load(), *server.store.load().installations, *server.log())
    yield NoMachineInfo("why", hint="what to do", code="invalid_machine_info")
    yield Refused(server.license.feature("sso-saml", now))  # type: ignore[arg-type]
    server.store.close()
    yield raised(server.store.load)


def parts(value: Any) -> object:
    """Return all parts of a value or an error, for comparison."""
    if isinstance(value, BaseException):
        return type(value), value.args, vars(value)
    if isinstance(value, Verifier | KeySet):
        keys = value.keys if isinstance(value, Verifier) else value
        return type(value), [(key, key.point, key.x, key.y, key.to_pem()) for key in keys]
    return type(value), value, getattr(value, "point", None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("face", "examples"),
    [(verifier, of_verifier), (enforcement, of_enforcement)],
    ids=["verifier", "enforcement"],
)
def test_every_public_value_survives(
    server: Server, face: ModuleType, examples: Callable[[Server], Iterator[object]], way: str
) -> None:
    """Each public name, and each example of its class, is unpickled unchanged."""
    public = [getattr(face, name) for name in face.__all__]
    members = [each for kind in public if isinstance(kind, type(HostKind)) for each in kind]
    values = [*public, *members, *examples(server)]
    for value in values:
        assert parts(WAYS[way](value)) == parts(value)
    classes = {each.__name__ for each in public if inspect.isclass(each)}
    with_examples = {kind.__name__ for value in values for kind in type(value).__mro__}
    assert classes - with_examples == (classes & (LIVE | PROTOCOL_CLASSES))


@pytest.mark.parametrize("way", [*WAYS, "pickle 0", "pickle 1"])
def test_objects_of_one_process_are_refused(server: Server, way: str) -> None:
    """An open store, and an object with a lock or connections, raises TypeError."""
    live = {
        "Claims": Claims(),
        "SqliteStore": server.store,
        "ServerLicense": server.license,
        "HostCaps": HostCaps(),
        "LicenseMiddleware": LicenseMiddleware(print, license=server.license, now=lambda: NOW),  # type: ignore[arg-type]
    }
    assert set(live) == LIVE
    act = WAYS[way] if way in WAYS else partial(pickled, protocol=int(way[-1]))
    for name, value in live.items():
        with pytest.raises(TypeError) as refused:
            act(value)
        assert str(refused.value) == (
            f"cannot pickle or copy a {name}: it belongs to one process, "
            "so create one in each process"
        )


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_pickle_is_checked_again(server: Server, way: str) -> None:
    """No key off the curve, wrong domain or naive time is unpickled."""
    key = server.issuer.signer.public_key
    off_the_curve = key.point[:-1] + bytes([key.point[-1] ^ 1])
    changes: list[tuple[Any, str, object, type[Exception]]] = [
        (copy.copy(key), "point", off_the_curve, InvalidKey),
        (AllowedDomain("acme.internal"), "text", "ACME.internal", InvalidDomain),
        (ClockGuard(NOW), "last_seen", NOW.replace(tzinfo=None), ValueError),
    ]
    for value, name, changed, error in changes:
        object.__setattr__(value, name, changed)
        with pytest.raises(error):
            WAYS[way](value)


def test_a_pickled_key_names_itself(server: Server) -> None:
    """The thumbprint is computed from the point, so a pickle has none that could be changed."""
    key = server.issuer.signer.public_key
    assert key.kid.encode() not in pickle.dumps(KeySet(key))


def test_a_pool_of_processes_verifies(server: Server) -> None:
    """The error of a refused file reaches its caller with all parts, and the pool goes on."""
    verify = partial(
        Verifier(KeySet(server.issuer.signer.public_key)).verify, now=NOW, fingerprint=MACHINE
    )
    good, expired = server.issuer.file(1), server.issuer.file(2, exp=int(NOW.timestamp()))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        answers = [pool.submit(verify, data) for data in (good, expired, b"\x1b", good)]
        assert answers[0].result() == answers[3].result() == verify(good)
        for answer, data in zip(answers[1:3], (expired, b"\x1b"), strict=True):
            error = answer.exception(timeout=60)
            here = raised(partial(verify, data))
            assert isinstance(error, LicenseError)
            assert isinstance(here, LicenseError)
            assert (error.code, error.message, error.hint) == (here.code, here.message, here.hint)
            assert error.license == here.license
