"""Keys in a token: a real SoftHSM token for each test, a real module, real calls."""

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from support import softhsm
from support.passphrases import Given
from support.softhsm import LABEL, MODULE, PIN, SoftHsm, calls
from support.tools import require_tool

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases, pkcs11_objects
from polygent_issuer.keys.pkcs11_session import TokenSession, TokenSigner
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.keys.signer import Presence, Signer, StoreEntry, generate_private_key
from polygent_issuer.keys.signing import open_store
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.verifier.keys import Key

TIMEOUT = timedelta(seconds=20)
PRIVATE = generate_private_key()
KEY = Key.from_public_key(PRIVATE.public_key())
WRONG = "4712-is-not-the-PIN"
TWO = [("a", "01", "EC:prime256v1"), ("a", "02", "EC:prime256v1")]


class Opened:
    """A store with what it warned of and asked for."""

    def __init__(
        self, place: TokenUri | str, pin: str | bytes = PIN, timeout: timedelta = TIMEOUT
    ) -> None:
        self.warnings: list[str] = []
        self.pin = Given(pin.encode() if isinstance(pin, str) else pin)
        self.store = Pkcs11Store(
            store_uri.parse_token_uri(place) if isinstance(place, str) else place,
            passphrase=self.pin,
            timeout=timeout,
            warn=self.warnings.append,
        )

    def generate(self, label: str = "main") -> StoreEntry:
        """A new key, kept."""
        with self.store.generating(label=label) as held:
            return held

    def refusal(self, call: Callable[[Pkcs11Store], object]) -> IssuerError:
        """What the store refuses a call with; whatever it is, the PIN is no part of it."""
        with pytest.raises(IssuerError) as raised:
            call(self.store)
        problem = raised.value
        assert problem.__cause__ is None
        assert problem.__context__ is None or problem.__suppress_context__
        told = f"{problem.message} {problem.hint} {self.warnings}"
        assert PIN not in told
        assert WRONG not in told
        assert problem.hint
        return problem


def put(store: Pkcs11Store, label: str) -> str:
    """The URI of our key, put into a token."""
    with store.taking(PRIVATE, label=label) as entry:
        return entry.uri


def test_a_key_is_made_inside(hsm: SoftHsm) -> None:
    """Both halves under the kid's id; the private one does not come out; the URI names them."""
    opened = Opened(hsm.place)
    held = opened.generate("Main key")
    key_id = pkcs11_objects.id_of(held.key)
    place = store_uri.parse_token_uri(held.uri)
    assert (place.token, place.id, place.module, place.label) == (LABEL, key_id, MODULE, None)
    assert place.serial
    listed = hsm.tool("--list-objects")
    assert listed.count(f"ID:         {key_id.hex()}") == 2
    assert listed.count("label:      Main key") == 2
    assert "Access:     sensitive, always sensitive, never extractable, local" in listed
    assert opened.pin.asked == [(f"the token {LABEL} (its user PIN)", False)]
    assert opened.warnings == []


def test_it_signs_after_a_login(hsm: SoftHsm) -> None:
    """64 bytes R‖S that verify; each time other ones are fine; nothing of it is shown."""
    held = Opened(hsm.place).generate()
    opened = Opened(held.uri)
    signer: Signer = opened.store.load(held.key)
    signatures = [signer.sign(b"license"), signer.sign(b"license")]
    assert all(held.key.verifies(each, b"license") for each in signatures)
    assert not held.key.verifies(signatures[0], b"another")
    assert (signer.kid, signer.public_key) == (held.key.kid, held.key)
    assert repr(signer) == f"TokenSigner(kid={held.key.kid!r})"
    signer.close()
    assert opened.store.uri == held.uri


def test_every_session_is_closed(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as were opened, and the module is finalised, by the log of a real spy."""
    log = tmp_path / "spy"
    place = hsm.spied(monkeypatch, log)
    held = Opened(place).generate()
    opened = Opened(held.uri)
    assert opened.store.presence(held.key.kid) is Presence.PRESENT
    signer = opened.store.load(held.key)
    signer.sign(b"x")
    signer.close()
    assert calls(log, "C_OpenSession") == calls(log, "C_CloseSession") > 0
    assert calls(log, "C_Login") == calls(log, "C_Logout") == 2
    assert calls(log, "C_Initialize") == calls(log, "C_Finalize") == 3


def spied_place(
    hsm: SoftHsm, held: StoreEntry, monkeypatch: pytest.MonkeyPatch, log: Path
) -> TokenUri:
    """Return the place of a key, with a module that logs every call."""
    module = hsm.spied(monkeypatch, log).module
    return dataclasses.replace(store_uri.parse_token_uri(held.uri), module=module)


def test_a_wrong_pin_is_given_once(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One C_Login, by the log of a real spy; the session that the library leaves open is closed."""
    held = Opened(hsm.place).generate()
    log = tmp_path / "spy"
    place = spied_place(hsm, held, monkeypatch, log)
    opened = Opened(place, WRONG)
    problem = opened.refusal(lambda store: store.load(held.key))
    assert (problem.code, problem.exit_code) == ("pin_incorrect", 6)
    assert calls(log, "C_Login") == 1
    assert calls(log, "C_Finalize") == calls(log, "C_Initialize") == 1
    assert len(opened.pin.asked) == 1
    assert hsm.noted_a_wrong_pin()


def test_a_pin_from_a_file_is_given_once(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its byte order mark and line end; the bytes of the file are not tried, too."""
    held = Opened(hsm.place).generate()
    log = tmp_path / "spy"
    place = spied_place(hsm, held, monkeypatch, log)
    file = tmp_path / "pin"
    for number, pin in enumerate((PIN, WRONG), start=1):
        file.write_bytes(f"{pin}\r\n".encode("utf-8-sig"))
        file.chmod(0o600)
        given = passphrases.from_file(file, warn=pytest.fail)
        store = Pkcs11Store(place, passphrase=given, timeout=TIMEOUT, warn=pytest.fail)
        if pin == PIN:
            store.load(held.key).close()
        else:
            with pytest.raises(IssuerError) as raised:
                store.load(held.key)
            assert raised.value.code == "pin_incorrect"
        assert calls(log, "C_Login") == number


def test_a_wrong_pin_before_is_told(hsm: SoftHsm) -> None:
    """Somebody tried: the operator hears of it before the right PIN clears the note."""
    held = Opened(hsm.place).generate()
    Opened(held.uri, WRONG).refusal(lambda store: store.load(held.key))
    opened = Opened(held.uri)
    opened.store.load(held.key).close()
    assert opened.warnings == [f"a wrong PIN was entered since the token {LABEL} was last unlocked"]
    assert not hsm.noted_a_wrong_pin()


@pytest.mark.parametrize(
    ("flags", "code"), [(softhsm.LOCKED, "pin_locked"), (softhsm.FINAL_TRY, "pin_final_try")]
)
@pytest.mark.parametrize("what", ["load", "make", "room", "adopt", "ready"])
def test_the_state_of_the_pin_is_looked_at_first(
    hsm: SoftHsm, flags: int, code: str, what: str
) -> None:
    """Locked, or one try left: nobody is asked, and nothing is tried."""
    hsm.set_flags(flags)
    opened = Opened(hsm.place)
    problem = opened.refusal(
        {
            "load": lambda store: store.load(KEY),
            "make": lambda store: store.generating(label="x").__enter__(),
            "room": lambda store: store.require_room(),
            "adopt": lambda store: store.adopt(),
            "ready": lambda store: store.require_ready(),
        }[what]
    )
    assert (problem.code, problem.exit_code) == (code, 6)
    assert opened.pin.asked == []
    assert LABEL in problem.message


def test_a_token_without_a_pin(hsm: SoftHsm) -> None:
    """Initialised by the security officer and never given to anybody."""
    hsm.initialise_without_pin("new")
    opened = Opened(dataclasses.replace(hsm.place, token="new"))
    problem = opened.refusal(lambda store: store.require_room())
    assert (problem.code, "the token new" in problem.message) == ("pin_not_set", True)
    assert opened.pin.asked == []


def test_the_final_try_is_made_elsewhere(hsm: SoftHsm) -> None:
    """The hint names the token's own way, as it is typed."""
    hsm.set_flags(softhsm.FINAL_TRY)
    problem = Opened(hsm.place).refusal(lambda store: store.load(KEY))
    command = f"pkcs11-tool --module {MODULE} --token-label {LABEL} --login --list-objects"
    assert str(problem.hint).endswith(command)


def test_a_write_protected_token(hsm: SoftHsm) -> None:
    """It takes no key, which is known without the PIN."""
    hsm.set_flags(softhsm.WRITE_PROTECTED)
    opened = Opened(hsm.place)
    assert opened.refusal(lambda store: store.require_room()).code == "token_read_only"
    assert opened.pin.asked == []


def test_room_for_a_key(hsm: SoftHsm) -> None:
    """A sound token has room; nobody is asked, nothing is made."""
    opened = Opened(hsm.place)
    opened.store.require_room()
    opened.store.require_ready()
    assert opened.pin.asked == []
    assert hsm.objects() == []


def test_a_key_of_this_process_is_put_there(hsm: SoftHsm) -> None:
    """It signs, does not come out again, and is not put there twice."""
    opened = Opened(hsm.place)
    uri = put(opened.store, label="moved")
    signer = Opened(uri).store.load(KEY)
    assert KEY.verifies(signer.sign(b"x"), b"x")
    signer.close()
    assert "sensitive" in hsm.tool("--list-objects", "--type", "privkey")
    problem = opened.refusal(lambda store: put(store, label="again"))
    assert problem.code == "output_exists"
    assert "polygent-issue key import 'pkcs11:token=vault;" in str(problem.hint)
    assert len(hsm.objects()) == 2


def test_a_key_goes_back_to_where_it_was(hsm: SoftHsm) -> None:
    """A recorded place names a key that may be lost; what counts then is the token."""
    hsm.ceremony("old", "aabb")
    lost = dataclasses.replace(hsm.place, id=b"\xaa\xbb")
    uri = put(Opened(lost).store, label="back")
    assert store_uri.parse_token_uri(uri).id == pkcs11_objects.id_of(KEY)


@pytest.mark.parametrize("named", [{"id": b"\xaa\xbb"}, {"label": "root"}, {}])
def test_a_key_of_a_ceremony(hsm: SoftHsm, named: dict[str, Any]) -> None:
    """By id, by label, or as the only one: it proves itself and its exact place is told."""
    hsm.ceremony("root", "aabb")
    opened = Opened(dataclasses.replace(hsm.place, **named))
    held = opened.store.adopt()
    place = store_uri.parse_token_uri(held.uri)
    assert (place.id, place.label) == (b"\xaa\xbb", None)
    assert opened.warnings == []
    signer = Opened(held.uri).store.load(held.key)
    assert held.key.verifies(signer.sign(b"x"), b"x")
    signer.close()


def test_one_without_an_id_goes_by_its_label(hsm: SoftHsm) -> None:
    """Its place is told by the label then, and it signs."""
    hsm.ceremony("root", "aabb")
    for kind in ("privkey", "pubkey"):
        hsm.tool("--set-id", "", "--type", kind, "--id", "aabb")
    held = Opened(hsm.place).store.adopt()
    place = store_uri.parse_token_uri(held.uri)
    assert (place.id, place.label) == (None, "root")
    Opened(held.uri).store.load(held.key).close()


def test_one_that_asks_for_the_pin_each_time(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the accepted PIN again with each signature, without a question."""
    hsm.ceremony("each", "aabb", "--always-auth")
    log = tmp_path / "spy"
    opened = Opened(hsm.spied(monkeypatch, log))
    held = opened.store.adopt()
    signer = opened.store.load(held.key)
    assert held.key.verifies(signer.sign(b"x"), b"x")
    assert held.key.verifies(signer.sign(b"y"), b"y")
    signer.close()
    assert len(opened.pin.asked) == 2
    assert log.read_text(errors="replace").count("CKU_CONTEXT_SPECIFIC") == 3


def test_one_that_comes_out(hsm: SoftHsm) -> None:
    """A key that was made extractable is taken, and the operator told what it is worth."""
    hsm.ceremony("loose", "aabb", "--extractable")
    opened = Opened(hsm.place)
    opened.store.adopt()
    (warning,) = opened.warnings
    assert "allows this private key to be exported" in warning


@pytest.mark.parametrize(
    ("made", "named", "code"),
    [
        ([], {}, "no_such_key"),
        ([("a", "01", "EC:prime256v1")], {"label": "b"}, "no_such_key"),
        ([("a", "01", "EC:prime256v1")], {"id": b"\x02"}, "no_such_key"),
        ([("a", "01", "EC:secp384r1")], {}, "unsupported_key"),
        ([("a", "01", "rsa:2048")], {"label": "a"}, "unsupported_key"),
        (TWO, {}, "key_ambiguous"),
        (TWO, {"label": "a"}, "key_ambiguous"),
    ],
)
def test_no_key_or_not_just_one(
    hsm: SoftHsm, made: list[tuple[str, str, str]], named: dict[str, Any], code: str
) -> None:
    """None, several, another kind: each is said for what it is."""
    for label, key_id, kind in made:
        hsm.ceremony(label, key_id, kind=kind)
    problem = Opened(dataclasses.replace(hsm.place, **named)).refusal(lambda store: store.adopt())
    assert (problem.code, problem.exit_code) == (code, 6)
    if code == "key_ambiguous":
        assert "id=%01, id=%02" in problem.message


def test_halves_that_do_not_belong_together(hsm: SoftHsm) -> None:
    """The private key of one pair under the id of another's public one: the probe tells."""
    hsm.ceremony("a", "01")
    hsm.ceremony("b", "02")
    hsm.tool("--delete-object", "--type", "privkey", "--id", "01")
    hsm.tool("--delete-object", "--type", "pubkey", "--id", "02")
    hsm.tool("--set-id", "01", "--type", "privkey", "--id", "02")
    assert Opened(hsm.place).refusal(lambda store: store.adopt()).code == "key_mismatch"


def test_a_half_that_lacks_the_other(hsm: SoftHsm) -> None:
    """A public key alone signs nothing; presence, which asks for no PIN, cannot tell."""
    held = Opened(hsm.place).generate()
    key_id = pkcs11_objects.id_of(held.key).hex()
    hsm.tool("--delete-object", "--type", "privkey", "--id", key_id)
    opened = Opened(held.uri)
    assert opened.store.presence(held.key.kid) is Presence.PRESENT
    assert opened.refusal(lambda store: store.load(held.key)).code == "no_such_key"


def test_two_private_halves_under_one_id(hsm: SoftHsm) -> None:
    """Which one would sign is chance, so neither does."""
    hsm.ceremony("a", "01")
    hsm.ceremony("b", "02")
    hsm.tool("--set-id", "01", "--type", "privkey", "--id", "02")
    place = dataclasses.replace(hsm.place, id=b"\x01")
    assert Opened(place).refusal(lambda store: store.adopt()).code == "key_ambiguous"


def test_the_pinned_key_and_no_other(hsm: SoftHsm) -> None:
    """Another key at the recorded place, or none: known before the PIN is asked for."""
    held = Opened(hsm.place).generate()
    for place, code in ((held.uri, "key_mismatch"), (hsm.uri, "no_such_key")):
        opened = Opened(place)
        problem = opened.refusal(lambda store: store.load(KEY))
        assert (problem.code, problem.exit_code) == (code, 6)
        assert opened.pin.asked == []


def test_an_empty_token_has_no_key(hsm: SoftHsm) -> None:
    """A public half may be hidden, so the PIN is asked for before that is said."""
    opened = Opened(hsm.place)
    assert opened.refusal(lambda store: store.load(KEY)).code == "no_such_key"
    assert len(opened.pin.asked) == 1


def test_presence_asks_nobody(hsm: SoftHsm) -> None:
    """There, not there, no token: without the PIN."""
    held = Opened(hsm.place).generate()
    opened = Opened(held.uri, WRONG)
    assert opened.store.presence(held.key.kid) is Presence.PRESENT
    assert opened.store.presence(KEY.kid) is Presence.ABSENT
    hsm.remove()
    assert opened.store.presence(held.key.kid) is Presence.UNAVAILABLE
    assert opened.pin.asked == []
    assert not opened.warnings


def test_which_token(hsm: SoftHsm) -> None:
    """Two of one label are told apart by serial; whatever else is said must be true, too."""
    hsm.initialise(LABEL)
    problem = Opened(hsm.place).refusal(lambda store: store.require_ready())
    assert problem.code == "token_ambiguous"
    serial = problem.message.rpartition(" ")[2]
    exact = dataclasses.replace(hsm.place, serial=serial, model="SoftHSM v2")
    Opened(exact).store.require_ready()
    for other in ({"manufacturer": "Acme"}, {"serial": "0"}, {"slot": 4_000_000_000}):
        place = dataclasses.replace(exact, **other)
        problem = Opened(place).refusal(lambda store: store.require_ready())
        assert problem.code == "token_absent"
        assert f"pkcs11-tool --module {MODULE} --list-token-slots" in str(problem.hint)
        assert str(next(iter(other.values()))) in problem.message


@pytest.mark.parametrize("module", ["missing", "text", "program", "library", "folder"], ids=str)
def test_what_is_no_module(tmp_path: Path, module: str) -> None:
    """Not there, a text, a program, another library, a folder."""
    path = {"program": "/bin/true", "library": "/lib/x86_64-linux-gnu/libm.so.6"}.get(
        module, str(tmp_path / module)
    )
    if module == "text":
        Path(path).write_text("no module")
    if module == "folder":
        Path(path).mkdir()
    opened = Opened(TokenUri(module=Path(path), token=LABEL))
    problem = opened.refusal(lambda store: store.load(KEY))
    assert (problem.code, problem.exit_code) == ("module_unusable", 6)
    assert path in problem.message
    assert opened.store.presence(KEY.kid) is Presence.UNAVAILABLE
    assert opened.pin.asked == []


def test_a_module_that_anybody_may_change(hsm: SoftHsm, tmp_path: Path) -> None:
    """It would get the PIN, so it is not even loaded; what mends it is said."""
    copy = tmp_path / "it's mine.so"
    copy.write_bytes(MODULE.read_bytes())
    place = dataclasses.replace(hsm.place, module=copy)
    copy.chmod(0o757)
    problem = Opened(place).refusal(lambda store: store.require_ready())
    assert (problem.code, problem.exit_code) == ("unsafe_file", 7)
    assert Opened(place).store.presence(KEY.kid) is Presence.UNAVAILABLE
    assert f"chmod o-w {shlex.quote(str(copy))}" in str(problem.hint)
    copy.chmod(0o755)
    Opened(place).store.require_ready()


def test_a_module_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SoftHSM without its folder of tokens."""
    (tmp_path / "c").write_text(f"directories.tokendir = {tmp_path}/none\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "c"))
    place = TokenUri(module=MODULE, token=LABEL)
    require_tool("softhsm2-util", "softhsm2")
    assert Opened(place).refusal(lambda store: store.require_ready()).code == "module_unusable"


def test_a_token_that_is_pulled_out(hsm: SoftHsm) -> None:
    """Between login and signature: no signature, and said for what it is."""
    held = Opened(hsm.place).generate()
    signer = Opened(held.uri).store.load(held.key)
    hsm.remove()
    with pytest.raises(IssuerError) as raised:
        signer.sign(b"x")
    assert (raised.value.code, raised.value.exit_code) == ("token_removed", 6)
    signer.close()


def test_a_token_of_another_machine(hsm: SoftHsm) -> None:
    """The settings came along, the token did not."""
    held = Opened(hsm.place).generate()
    hsm.remove()
    hsm.initialise(LABEL)
    opened = Opened(held.uri)
    assert opened.refusal(lambda store: store.load(held.key)).code == "token_absent"
    assert opened.store.presence(held.key.kid) is Presence.UNAVAILABLE


def test_two_keys_of_one_token(hsm: SoftHsm) -> None:
    """The second is unlocked while the first still is: the token allows one login a process."""
    opened = Opened(hsm.place)
    one, two = opened.generate("one"), opened.generate("two")
    signers = [opened.store.load(held.key) for held in (one, two)]
    for held, signer in zip((one, two), signers, strict=True):
        assert held.key.verifies(signer.sign(b"x"), b"x")
    for signer in signers:
        signer.close()


@pytest.mark.parametrize("how", ["generating", "taking"])
def test_what_fails_afterwards_leaves_nothing(hsm: SoftHsm, how: str) -> None:
    """Whatever goes wrong while a key is recorded, Ctrl-C too, its objects are destroyed."""
    store = Opened(hsm.place).store
    make = store.generating if how == "generating" else partial(store.taking, PRIVATE)

    def record(problem: BaseException) -> None:
        with make(label="x"):
            assert len(hsm.objects()) == 2
            raise problem

    for problem in (OSError("disk"), KeyboardInterrupt()):
        with pytest.raises(type(problem)):
            record(problem)
        assert hsm.objects() == []


def test_what_cannot_be_destroyed_is_named(hsm: SoftHsm) -> None:
    """The token is gone when the half-made key should be: the operator hears what it may hold."""
    opened = Opened(hsm.place)

    def record() -> None:
        with opened.store.generating(label="half"):
            hsm.remove()
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        record()
    (warning,) = opened.warnings
    assert "the token vault may still hold the key half, which was not recorded" in warning
    assert f"pkcs11-tool --module {MODULE} --token-label {LABEL} --login" in warning


def test_a_key_that_would_come_out_is_not_kept(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that makes extractable keys whatever it is told: here it is told so."""
    told = {**pkcs11_objects._PRIVATE, pkcs11.Attribute.EXTRACTABLE: True}
    monkeypatch.setattr(pkcs11_objects, "_PRIVATE", told)
    opened = Opened(hsm.place)
    problem = opened.refusal(lambda store: store.generating(label="x").__enter__())
    assert problem.code == "not_kept"
    assert hsm.objects() == []


def test_a_key_that_signs_wrongly_is_not_kept(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe is verified before a key is recorded; the signatures of this token are bent."""
    monkeypatch.setattr(TokenSigner, "sign", lambda *_given: bytes(63) + b"1")
    for make in (
        lambda store: store.generating(label="x").__enter__(),
        lambda store: put(store, label="x"),
    ):
        assert Opened(hsm.place).refusal(make).code == "key_mismatch"
        assert hsm.objects() == []


def test_a_token_that_makes_another_curve(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is read back, and one that is not on P-256 does not stay."""
    p384 = bytes.fromhex("06052b81040022")
    template = {pkcs11.Attribute.EC_PARAMS: p384}
    monkeypatch.setattr(pkcs11_objects, "_CURVE", template)
    problem = Opened(hsm.place).refusal(lambda store: store.generating(label="x").__enter__())
    assert problem.code == "not_kept"
    assert hsm.objects() == []


def test_a_token_that_cannot_sign(hsm: SoftHsm) -> None:
    """It does not offer ECDSA: known before anybody is asked for the PIN."""
    hsm.ceremony("root", "aabb")
    hsm.offer_only("CKM_EC_KEY_PAIR_GEN")
    opened = Opened(hsm.place)
    for call in (lambda store: store.adopt(), lambda store: store.require_room()):
        problem = opened.refusal(call)
        assert (problem.code, problem.exit_code) == ("mechanism_missing", 6)
        assert "CKM_ECDSA with P-256" in str(problem.hint)
    assert opened.pin.asked == []


def test_a_signature_of_another_length(hsm: SoftHsm) -> None:
    """96 bytes of P-384 are none of ours, whatever key the token took it for."""
    hsm.ceremony("root", "aabb", kind="EC:secp384r1")
    with TokenSession(hsm.place, timeout=TIMEOUT) as session:
        session.log_in(Given(PIN.encode()), warn=pytest.fail)
        (public,) = session.public_keys()
        with pytest.raises(IssuerError) as raised:
            TokenSigner(session, public, KEY).sign(b"x")
    assert raised.value.code == "token_failed"


def test_a_point_off_the_curve(hsm: SoftHsm) -> None:
    """A public half that no key has is none of ours."""
    broken = b"\x04\x41\x04" + bytes(64)
    with TokenSession(hsm.place, timeout=TIMEOUT) as session:
        session.log_in(Given(PIN.encode()), warn=pytest.fail, writing=True)
        template = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
            pkcs11.Attribute.EC_PARAMS: pkcs11_objects.P256,
            pkcs11.Attribute.EC_POINT: broken,
            pkcs11.Attribute.TOKEN: True,
        }
        session.call(lambda opened: opened.create_object(template))
    assert Opened(hsm.place).refusal(lambda store: store.adopt()).code == "unsupported_key"


@pytest.mark.parametrize("pin", [b"\xff\xfe", "1", "9" * 300])
def test_what_is_no_pin(hsm: SoftHsm, pin: str | bytes) -> None:
    """Not UTF-8: not even given. Too short or too long: the token says that it is wrong."""
    held = Opened(hsm.place).generate()
    problem = Opened(held.uri, pin).refusal(lambda store: store.load(held.key))
    assert problem.code == ("passphrase_refused" if isinstance(pin, bytes) else "pin_incorrect")
    assert hsm.noted_a_wrong_pin() is isinstance(pin, str)


def test_without_the_library(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that few install: the hint is the command that does."""
    for module in ("module", "objects", "session", "store"):
        monkeypatch.delitem(sys.modules, f"polygent_issuer.keys.pkcs11_{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    opened = Opened(hsm.place)
    for call in (lambda s: s.load(KEY), lambda s: s.require_room(), lambda s: s.adopt()):
        problem = opened.refusal(call)
        assert (problem.code, problem.exit_code) == ("token_library_missing", 6)
        assert problem.hint == "install it: pip install 'polygent-issuer[pkcs11]'"
    assert opened.store.presence(KEY.kid) is Presence.UNAVAILABLE


def test_modules_that_load_without_the_library() -> None:
    """Key commands and doctor work for keys in other stores."""
    code = (
        "import sys; sys.modules['pkcs11'] = None; "
        "import polygent_issuer.keys.lifecycle, polygent_issuer.doctor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_uri_opens_it(hsm: SoftHsm) -> None:
    """`open_store` gives this store for a `pkcs11:` URI, and asks nothing yet."""
    store = open_store(Settings(), hsm.uri, passphrase=Given(b""), warn=pytest.fail)
    assert isinstance(store, Pkcs11Store)
    assert store.uri == hsm.uri
