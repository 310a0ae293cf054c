"""The seam for remote keys: a service in this process, which a test makes slow or wrong."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import remote, stores
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.signer import (
    Presence,
    SoftwareSigner,
    StoreEntry,
    TimeoutExpired,
    generate_private_key,
)
from polygent_issuer.store_uri.remote import RemoteUri, parse_remote_uri

ONE, TWO = (SoftwareSigner(generate_private_key()) for _ in range(2))
ANY = parse_remote_uri("agent:")
NAMED = parse_remote_uri("agent:one")


def entry(signer: SoftwareSigner) -> StoreEntry:
    """Return the entry of a key in the service."""
    return StoreEntry(key=signer.public_key, uri=f"agent:{signer.kid}", label="a label")


class Fake(remote.Service):
    """A service; `sizes` has the size of each call to sign.

    Its `answer` replaces the signatures, and `before` runs first in each call.
    """

    def __init__(
        self,
        *signers: SoftwareSigner,
        at_once: int = 1,
        answer: Callable[[bytes], Sequence[bytes]] | None = None,
        before: Callable[[], object] = lambda: None,
        leaving: bool = False,
    ) -> None:
        self.signers = signers
        self.at_once = at_once
        self.leaving = leaving
        self.sizes: list[int] = []
        self._answer = answer
        self._before = before

    def keys(self) -> Sequence[StoreEntry]:
        """Return the entries."""
        self._before()
        return [*map(entry, self.signers)]

    def check_stays(self, entry: StoreEntry) -> None:
        """Refuse the key if it can leave the service."""
        self._before()
        assert entry.label == "a label"
        if self.leaving:
            raise remote.exportable(ANY, "it is copied each night", hint="h")

    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> Sequence[bytes]:
        """Sign with the key of the entry."""
        self._before()
        self.sizes.append(len(items))
        if self._answer is not None:
            return self._answer(items[0])
        (signer,) = (each for each in self.signers if each.public_key == entry.key)
        return [*map(signer.sign, items)]


def store(service: remote.Service, place: RemoteUri = ANY, seconds: float = 20) -> RemoteStore:
    """Return the store of a service."""
    return RemoteStore(place, service, timeout=timedelta(seconds=seconds))


def refusal(call: Callable[[], object]) -> IssuerError:
    """Return the error of a call; it has a hint, and no cause that a person would see."""
    with pytest.raises(KeyUnavailable) as raised:
        call()
    assert raised.value.hint
    assert raised.value.__cause__ is None
    return raised.value


def test_a_pinned_key_is_found_among_others() -> None:
    """Each signer signs with its own key, without a signature before."""
    service = Fake(ONE, TWO)
    for signer in (ONE, TWO):
        loaded = store(service).load(signer.public_key)
        assert service.sizes == []
        assert (loaded.kid, loaded.public_key) == (signer.kid, signer.public_key)
        assert signer.public_key.verifies(loaded.sign(b"x"), b"x")
        assert "_store" not in repr(loaded)
        loaded.close()
        service.sizes.clear()


def test_another_key_never_signs() -> None:
    """A key under a name that has another public key is refused before a signature."""
    service = Fake(ONE)
    assert refusal(lambda: store(service, NAMED).load(TWO.public_key)).code == "key_mismatch"
    absent = refusal(lambda: store(service).load(TWO.public_key))
    assert (absent.code, TWO.kid in absent.message) == ("no_such_key", True)
    assert absent.hint == ANY.scheme.missing
    gone = refusal(lambda: store(Fake(), NAMED).load(ONE.public_key))
    assert gone.message == "the key agent:one is not in the SSH agent"  # as the agent lists it
    assert service.sizes == []


@pytest.mark.parametrize(("at_once", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (200, [5])])
def test_many_signatures_take_few_calls(at_once: int, sizes: list[int]) -> None:
    """They come back in order, and no call is larger than the service allows."""
    service, items = Fake(ONE, at_once=at_once), [bytes([n]) for n in range(5)]
    signer = store(service).load(ONE.public_key)
    assert signer.at_once == at_once
    signatures = signer.sign_many(items)
    assert service.sizes == sizes
    pairs = zip(signatures, items, strict=True)
    assert all(ONE.public_key.verifies(signature, item) for signature, item in pairs)
    assert signer.sign_many([]) == []


def test_a_key_is_adopted_after_a_proof() -> None:
    """The one key that matches has signed once; another private key is refused."""
    service = Fake(ONE)
    assert store(service).adopt() == entry(ONE)
    assert service.sizes == [1]
    impostor = Fake(ONE, answer=lambda item: [TWO.sign(item)])
    assert refusal(store(impostor).adopt).code == "key_mismatch"


def test_only_one_key_can_be_adopted() -> None:
    """Without a key, or with several, nothing is signed; the hint has a command for each."""
    empty, both = Fake(), Fake(ONE, TWO)
    unnamed = refusal(store(empty).adopt)
    assert (unnamed.code, unnamed.message) == ("no_such_key", "no P-256 key is in the SSH agent")
    named = refusal(store(empty, NAMED).adopt)
    assert named.message == "the key agent:one is not in the SSH agent"
    ambiguous = refusal(store(both).adopt)
    assert ambiguous.code == "key_ambiguous"
    for signer in (ONE, TWO):
        assert f"polygent-issue key import agent:{signer.kid}" in str(ambiguous.hint)
    assert both.sizes == []


def test_a_key_is_looked_for_without_a_signature() -> None:
    """`require_ready` reports what `load` or `adopt` would; `presence` never raises."""
    service = Fake(ONE)
    store(service).require_ready()
    store(service).require_ready(ONE.public_key)
    assert refusal(lambda: store(service).require_ready(TWO.public_key)).code == "no_such_key"
    assert store(service).presence(ONE.kid) is Presence.PRESENT
    assert store(service).presence(TWO.kid) is Presence.ABSENT
    assert service.sizes == []


def test_a_key_that_can_leave_is_not_adopted() -> None:
    """An import and `doctor` report it, but a pinned key signs on."""
    service = Fake(ONE, leaving=True)
    at = store(service)
    for call in (at.adopt, at.require_ready, lambda: at.require_ready(ONE.public_key)):
        assert refusal(call).code == "remote_exportable"
    assert service.sizes == []
    assert at.load(ONE.public_key).sign(b"")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (remote.absent(ANY, "no socket", hint="h"), "remote_absent"),
        (remote.refused(ANY, hint="h"), "remote_refused"),
        (remote.no_credentials(ANY, "no token", hint="h"), "remote_credentials"),
        (TimeoutExpired(), "remote_timeout"),
        (ValueError("a secret"), "remote_failed"),
    ],
)
def test_every_error_becomes_one_of_ours(error: Exception, code: str) -> None:
    """The text of a foreign error is not repeated; the presence is `unavailable`."""

    def fail() -> None:
        raise error

    broken = store(Fake(ONE, before=fail))
    for call in (broken.adopt, broken.require_ready, lambda: broken.load(ONE.public_key)):
        problem = refusal(call)
        assert problem.code == code
        assert "secret" not in problem.message
    assert refusal(lambda: broken.sign(entry(ONE), [b""])).code == code
    assert broken.presence(ONE.kid) is Presence.UNAVAILABLE


def test_a_service_that_hangs_is_abandoned() -> None:
    """Each call has the deadline of the settings, and the hint raises it."""
    done = threading.Event()
    slow = store(Fake(before=lambda: done.wait(20)), seconds=0.01)
    problem = refusal(slow.adopt)
    assert problem.message == "the SSH agent did not answer within 0.01 s"
    assert "polygent-issue config set keyring_timeout 60s" in str(problem.hint)
    assert slow.presence(ONE.kid) is Presence.UNAVAILABLE
    done.set()


@pytest.mark.parametrize("answer", [[], [b"x" * 63], [b"x" * 64] * 2, [b""]])
def test_an_answer_of_another_form_is_refused(answer: list[bytes]) -> None:
    """Each item gets exactly one signature of 64 bytes."""
    signer = store(Fake(ONE, answer=lambda _: answer)).load(ONE.public_key)
    assert refusal(lambda: signer.sign(b"")).code == "remote_failed"


def test_no_key_is_stored_in_a_service(key_lifecycle: KeyLifecycle) -> None:
    """Neither a generated nor an imported one; the hint generates it there."""
    in_agent = dataclasses.replace(key_lifecycle, settings=Settings(store="agent:"))
    for call in (
        store(Fake()).require_room,
        lambda: remote.check_new_key_uri("agent:"),
        lambda: in_agent.generate(label="x", store_uri=None, backup=None),
    ):
        problem = refusal(call)
        assert problem.code == "store_read_only"
        assert "ssh-keygen -t ecdsa -b 256 -f FILE" in str(problem.hint)
        assert "polygent-issue key import agent:" in str(problem.hint)


def test_a_service_is_named_in_a_sentence() -> None:
    """The refusal of a backup names the token or the service."""
    for uri, name in (("agent:", "the SSH agent"), ("pkcs11:", "a token")):
        refused = remote.backup_impossible_existing("main", uri)
        assert refused.message == f"the key main is stored in {name} and cannot be backed up"


def test_an_invalid_uri_has_no_store() -> None:
    """The presence is `unavailable` then; other commands get the error."""
    settings = Settings(stores={ONE.kid: "agent:50%"})
    assert stores.presence(settings, ONE.kid) is Presence.UNAVAILABLE
    with pytest.raises(IssuerError) as raised:
        stores.open_store(settings, "agent:50%")
    assert raised.value.code == "invalid_store"
    assert stores.open_store(settings, "agent:a%41").uri == store_uri.parse("agent:aA").uri
