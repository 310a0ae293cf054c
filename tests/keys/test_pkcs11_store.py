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

from polygent_issuer.errors import IssuerError
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases, pkcs11_objects
from polygent_issuer.keys.pkcs11_session import TokenSession, TokenSigner
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.keys.signer import Presence, Signer, StoreEntry, generate_private_key
from polygent_issuer.keys.stores import open_store
from polygent_issuer.store_uri.token import TokenUri, parse_token_uri
from polygent_issuer.verifier.keys import Key

TIMEOUT = timedelta(seconds=20)
PRIVATE = generate_private_key()
KEY = Key.from_public_key(PRIVATE.public_key())
WRONG = "4712-is-not-the-PIN"
TWO = [("a", "01", "EC:prime256v1"), ("a", "02", "EC:prime256v1")]


class Opened:
    """A store, with its warnings and its PIN prompts."""

    def __init__(
        self, place: TokenUri | str, pin: str | bytes = PIN, timeout: timedelta = TIMEOUT
    ) -> None:
        self.warnings: list[str] = []
        self.pin = Given(pin.encode() if isinstance(pin, str) else pin)
        self.store = Pkcs11Store(
            parse_token_uri(place) if isinstance(place, str) else place,
            passphrase=self.pin,
            timeout=timeout,
            warn=self.warnings.append,
        )

    def generate(self, label: str = "main") -> StoreEntry:
        """Generate a key and return it."""
        with self.store.generating(label=label) as held:
            return held

    def refusal(self, call: Callable[[Pkcs11Store], object]) -> IssuerError:
        """Return the error of a call, which never contains the PIN."""
        with pytest.raises(IssuerError) as raised:
            call(self.store)
        problem = raised.value
        assert problem.__cause__ is None
        assert problem.__context__ is None or problem.__suppress_context__
        messages = f"{problem.message} {problem.hint} {self.warnings}"
        assert PIN not in messages
        assert WRONG not in messages
        assert problem.hint
        return problem


def put(store: Pkcs11Store, label: str) -> str:
    """Store our key in a token and return its URI."""
    with store.taking(PRIVATE, label=label) as entry:
        return entry.uri


def test_a_key_is_generated_in_the_token(hsm: SoftHsm) -> None:
    """Both objects have an id from the kid; the private key is not extractable."""
    opened = Opened(hsm.place)
    held = opened.generate("Main key")
    key_id = pkcs11_objects.id_of(held.key)
    place = parse_token_uri(held.uri)
    assert (place.token, place.id, place.module, place.label) == (LABEL, key_id, MODULE, None)
    assert place.serial
    listed = hsm.tool("--list-objects")
    assert listed.count(f"ID:         {key_id.hex()}") == 2
    assert listed.count("label:      Main key") == 2
    assert "Access:     sensitive, always sensitive, never extractable, local" in listed
    assert opened.pin.asked == [(f"the token {LABEL} (its user PIN)", False)]
    assert opened.warnings == []


def test_a_key_signs_after_a_login(hsm: SoftHsm) -> None:
    """Each signature is 64 bytes R‖S and verifies; `repr` shows only the kid."""
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
    """The log of PKCS#11 Spy has as many closed as opened sessions, and the finalisation."""
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
    """Return the URI of a key with a module that logs every call."""
    module = hsm.spied(monkeypatch, log).module
    return dataclasses.replace(parse_token_uri(held.uri), module=module)


def test_a_wrong_pin_is_tried_once(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has one C_Login, and the open session is closed."""
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


def test_a_pin_from_a_file_is_tried_once(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PIN has no byte order mark and no line end; the raw bytes are not tried."""
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


def test_an_earlier_wrong_pin_warns(hsm: SoftHsm) -> None:
    """The warning appears before the right PIN resets the flag."""
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
def test_the_state_of_the_pin_is_checked_first(
    hsm: SoftHsm, flags: int, code: str, what: str
) -> None:
    """A locked PIN or a final attempt is reported without a prompt and without an attempt."""
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


def test_a_token_without_a_user_pin_is_refused(hsm: SoftHsm) -> None:
    """A token that has no user PIN yet is refused without a prompt."""
    hsm.initialise_without_pin("new")
    opened = Opened(dataclasses.replace(hsm.place, token="new"))
    problem = opened.refusal(lambda store: store.require_room())
    assert (problem.code, "the token new" in problem.message) == ("pin_not_set", True)
    assert opened.pin.asked == []


def test_the_final_attempt_is_not_made(hsm: SoftHsm) -> None:
    """The hint is the command of the token's own software."""
    hsm.set_flags(softhsm.FINAL_TRY)
    problem = Opened(hsm.place).refusal(lambda store: store.load(KEY))
    command = f"pkcs11-tool --module {MODULE} --token-label {LABEL} --login --list-objects"
    assert str(problem.hint).endswith(command)


def test_a_write_protected_token_is_refused(hsm: SoftHsm) -> None:
    """A write-protected token is refused without the PIN."""
    hsm.set_flags(softhsm.WRITE_PROTECTED)
    opened = Opened(hsm.place)
    assert opened.refusal(lambda store: store.require_room()).code == "token_read_only"
    assert opened.pin.asked == []


def test_a_usable_token_passes_the_check(hsm: SoftHsm) -> None:
    """The check of a usable token needs no prompt and changes nothing."""
    opened = Opened(hsm.place)
    opened.store.require_room()
    opened.store.require_ready()
    assert opened.pin.asked == []
    assert hsm.objects() == []


def test_a_key_is_imported_into_the_token(hsm: SoftHsm) -> None:
    """The key signs, is not extractable, and cannot be imported twice."""
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


def test_a_lost_key_is_restored_to_its_token(hsm: SoftHsm) -> None:
    """The id in the recorded URI is ignored for a new object; only the token counts."""
    hsm.ceremony("old", "aabb")
    lost = dataclasses.replace(hsm.place, id=b"\xaa\xbb")
    uri = put(Opened(lost).store, label="back")
    assert parse_token_uri(uri).id == pkcs11_objects.id_of(KEY)


@pytest.mark.parametrize("named", [{"id": b"\xaa\xbb"}, {"label": "root"}, {}])
def test_an_existing_key_is_adopted(hsm: SoftHsm, named: dict[str, Any]) -> None:
    """A key that is found by id, by label or as the only one is tested and returned."""
    hsm.ceremony("root", "aabb")
    opened = Opened(dataclasses.replace(hsm.place, **named))
    held = opened.store.adopt()
    place = parse_token_uri(held.uri)
    assert (place.id, place.label) == (b"\xaa\xbb", None)
    assert opened.warnings == []
    signer = Opened(held.uri).store.load(held.key)
    assert held.key.verifies(signer.sign(b"x"), b"x")
    signer.close()


def test_a_key_without_an_id_is_named_by_its_label(hsm: SoftHsm) -> None:
    """The recorded URI has the label, and the key signs."""
    hsm.ceremony("root", "aabb")
    for kind in ("privkey", "pubkey"):
        hsm.tool("--set-id", "", "--type", kind, "--id", "aabb")
    held = Opened(hsm.place).store.adopt()
    place = parse_token_uri(held.uri)
    assert (place.id, place.label) == (None, "root")
    Opened(held.uri).store.load(held.key).close()


def test_a_key_that_needs_the_pin_each_time(
    hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accepted PIN is sent again with each signature, without a prompt."""
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


def test_an_extractable_key_is_adopted_with_a_warning(hsm: SoftHsm) -> None:
    """An extractable key is accepted, with a warning."""
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
def test_the_uri_must_match_exactly_one_key(
    hsm: SoftHsm, made: list[tuple[str, str, str]], named: dict[str, Any], code: str
) -> None:
    """No key, several keys and another type of key each have their own error."""
    for label, key_id, kind in made:
        hsm.ceremony(label, key_id, kind=kind)
    problem = Opened(dataclasses.replace(hsm.place, **named)).refusal(lambda store: store.adopt())
    assert (problem.code, problem.exit_code) == (code, 6)
    if code == "key_ambiguous":
        assert "id=%01, id=%02" in problem.message


def test_keys_that_do_not_match_are_refused(hsm: SoftHsm) -> None:
    """A private key with the id of another public key fails its test signature."""
    hsm.ceremony("a", "01")
    hsm.ceremony("b", "02")
    hsm.tool("--delete-object", "--type", "privkey", "--id", "01")
    hsm.tool("--delete-object", "--type", "pubkey", "--id", "02")
    hsm.tool("--set-id", "01", "--type", "privkey", "--id", "02")
    assert Opened(hsm.place).refusal(lambda store: store.adopt()).code == "key_mismatch"


def test_a_public_key_without_its_private_key_is_refused(hsm: SoftHsm) -> None:
    """A public key alone cannot sign; `presence` without a PIN cannot detect that."""
    held = Opened(hsm.place).generate()
    key_id = pkcs11_objects.id_of(held.key).hex()
    hsm.tool("--delete-object", "--type", "privkey", "--id", key_id)
    opened = Opened(held.uri)
    assert opened.store.presence(held.key.kid) is Presence.PRESENT
    assert opened.refusal(lambda store: store.load(held.key)).code == "no_such_key"


def test_two_private_keys_with_one_id_are_refused(hsm: SoftHsm) -> None:
    """The token could use either one, so none is used."""
    hsm.ceremony("a", "01")
    hsm.ceremony("b", "02")
    hsm.tool("--set-id", "01", "--type", "privkey", "--id", "02")
    place = dataclasses.replace(hsm.place, id=b"\x01")
    assert Opened(place).refusal(lambda store: store.adopt()).code == "key_ambiguous"


def test_the_pinned_key_and_no_other(hsm: SoftHsm) -> None:
    """Another key, or no key, at the recorded URI is detected before the PIN prompt."""
    held = Opened(hsm.place).generate()
    for place, code in ((held.uri, "key_mismatch"), (hsm.uri, "no_such_key")):
        opened = Opened(place)
        problem = opened.refusal(lambda store: store.load(KEY))
        assert (problem.code, problem.exit_code) == (code, 6)
        assert opened.pin.asked == []


def test_an_empty_token_has_no_key(hsm: SoftHsm) -> None:
    """Public keys may be hidden, so the PIN is needed before a key is reported as missing."""
    opened = Opened(hsm.place)
    assert opened.refusal(lambda store: store.load(KEY)).code == "no_such_key"
    assert len(opened.pin.asked) == 1


def test_presence_needs_no_pin(hsm: SoftHsm) -> None:
    """A key, no key and no token are distinguished without the PIN."""
    held = Opened(hsm.place).generate()
    opened = Opened(held.uri, WRONG)
    assert opened.store.presence(held.key.kid) is Presence.PRESENT
    assert opened.store.presence(KEY.kid) is Presence.ABSENT
    hsm.remove()
    assert opened.store.presence(held.key.kid) is Presence.UNAVAILABLE
    assert opened.pin.asked == []
    assert not opened.warnings


def test_the_uri_selects_the_token(hsm: SoftHsm) -> None:
    """Two tokens with one label are selected by serial; all other attributes must match."""
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
def test_a_file_that_is_not_a_module_is_refused(tmp_path: Path, module: str) -> None:
    """A missing file, a text, a program, another library and a folder are refused."""
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


def test_a_module_that_others_can_change_is_refused(hsm: SoftHsm, tmp_path: Path) -> None:
    """The module would get the PIN, so it is not loaded; the hint has the fix."""
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


def test_a_module_that_cannot_be_initialised_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SoftHSM without its token folder is refused."""
    (tmp_path / "c").write_text(f"directories.tokendir = {tmp_path}/none\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "c"))
    place = TokenUri(module=MODULE, token=LABEL)
    require_tool("softhsm2-util", "softhsm2")
    assert Opened(place).refusal(lambda store: store.require_ready()).code == "module_unusable"


def test_a_token_that_is_removed_before_signing(hsm: SoftHsm) -> None:
    """Between login and signature the removal is reported, and nothing is signed."""
    held = Opened(hsm.place).generate()
    signer = Opened(held.uri).store.load(held.key)
    hsm.remove()
    with pytest.raises(IssuerError) as raised:
        signer.sign(b"x")
    assert (raised.value.code, raised.value.exit_code) == ("token_removed", 6)
    signer.close()


def test_a_token_that_is_not_connected_is_reported(hsm: SoftHsm) -> None:
    """The settings name a token that this machine does not have."""
    held = Opened(hsm.place).generate()
    hsm.remove()
    hsm.initialise(LABEL)
    opened = Opened(held.uri)
    assert opened.refusal(lambda store: store.load(held.key)).code == "token_absent"
    assert opened.store.presence(held.key.kid) is Presence.UNAVAILABLE


def test_two_keys_of_one_token_can_be_unlocked(hsm: SoftHsm) -> None:
    """A token allows one login per process, which both keys share."""
    opened = Opened(hsm.place)
    one, two = opened.generate("one"), opened.generate("two")
    signers = [opened.store.load(held.key) for held in (one, two)]
    for held, signer in zip((one, two), signers, strict=True):
        assert held.key.verifies(signer.sign(b"x"), b"x")
    for signer in signers:
        signer.close()


@pytest.mark.parametrize("how", ["generating", "taking"])
def test_a_later_failure_deletes_the_new_key(hsm: SoftHsm, how: str) -> None:
    """If recording a key fails, also by Ctrl-C, its objects are deleted."""
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


def test_a_key_that_cannot_be_deleted_is_reported(hsm: SoftHsm) -> None:
    """If the token is removed before the deletion, a warning names the key."""
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


def test_an_extractable_new_key_is_not_recorded(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that generates extractable keys, simulated here, is refused."""
    template = {**pkcs11_objects._PRIVATE, pkcs11.Attribute.EXTRACTABLE: True}
    monkeypatch.setattr(pkcs11_objects, "_PRIVATE", template)
    opened = Opened(hsm.place)
    problem = opened.refusal(lambda store: store.generating(label="x").__enter__())
    assert problem.code == "not_kept"
    assert hsm.objects() == []


def test_a_key_with_invalid_signatures_is_not_recorded(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test signature is verified before a key is recorded."""
    monkeypatch.setattr(TokenSigner, "sign", lambda *_given: bytes(63) + b"1")
    for make in (
        lambda store: store.generating(label="x").__enter__(),
        lambda store: put(store, label="x"),
    ):
        assert Opened(hsm.place).refusal(make).code == "key_mismatch"
        assert hsm.objects() == []


def test_a_key_on_another_curve_is_not_recorded(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key is read back, and deleted if it is not a P-256 key."""
    p384 = bytes.fromhex("06052b81040022")
    template = {pkcs11.Attribute.EC_PARAMS: p384}
    monkeypatch.setattr(pkcs11_objects, "_CURVE", template)
    problem = Opened(hsm.place).refusal(lambda store: store.generating(label="x").__enter__())
    assert problem.code == "not_kept"
    assert hsm.objects() == []


def test_a_token_without_ecdsa_is_refused(hsm: SoftHsm) -> None:
    """The missing mechanism is detected before the PIN prompt."""
    hsm.ceremony("root", "aabb")
    hsm.offer_only("CKM_EC_KEY_PAIR_GEN")
    opened = Opened(hsm.place)
    for call in (lambda store: store.adopt(), lambda store: store.require_room()):
        problem = opened.refusal(call)
        assert (problem.code, problem.exit_code) == ("mechanism_missing", 6)
        assert "CKM_ECDSA with P-256" in str(problem.hint)
    assert opened.pin.asked == []


def test_a_signature_of_another_length_is_refused(hsm: SoftHsm) -> None:
    """A signature of 96 bytes (P-384) is refused."""
    hsm.ceremony("root", "aabb", kind="EC:secp384r1")
    with TokenSession(hsm.place, timeout=TIMEOUT) as session:
        session.log_in(Given(PIN.encode()), warn=pytest.fail)
        (public,) = session.public_keys()
        with pytest.raises(IssuerError) as raised:
            TokenSigner(session, public, KEY).sign(b"x")
    assert raised.value.code == "token_failed"


def test_a_point_off_the_curve_is_not_a_key(hsm: SoftHsm) -> None:
    """An invalid public key is ignored."""
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
def test_an_invalid_pin_is_refused(hsm: SoftHsm, pin: str | bytes) -> None:
    """A PIN that is not UTF-8 is not sent; the token rejects one that is too short or too long."""
    held = Opened(hsm.place).generate()
    problem = Opened(held.uri, pin).refusal(lambda store: store.load(held.key))
    assert problem.code == ("passphrase_refused" if isinstance(pin, bytes) else "pin_incorrect")
    assert hsm.noted_a_wrong_pin() is isinstance(pin, str)


def test_without_the_library_the_hint_installs_it(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint is the command that installs the extra."""
    for module in ("module", "session", "store"):
        monkeypatch.delitem(sys.modules, f"polygent_issuer.keys.pkcs11_{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    opened = Opened(hsm.place)
    for call in (lambda s: s.load(KEY), lambda s: s.require_room(), lambda s: s.adopt()):
        problem = opened.refusal(call)
        assert (problem.code, problem.exit_code) == ("token_library_missing", 6)
        assert problem.hint == "install it: pip install 'polygent-issuer[pkcs11]'"
    assert opened.store.presence(KEY.kid) is Presence.UNAVAILABLE


def test_other_stores_work_without_the_library() -> None:
    """Key commands, doctor and services can be imported without the library."""
    code = (
        "import sys; sys.modules['pkcs11'] = None; "
        "import polygent_issuer.keys.lifecycle, polygent_issuer.doctor; "
        "from polygent_issuer.keys import agent_store, awskms_store, vault_store"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pkcs11_uri_opens_this_store(hsm: SoftHsm) -> None:
    """`open_store` returns this store for a `pkcs11:` URI, without a prompt."""
    store = open_store(Settings(), hsm.uri, passphrase=Given(b""), warn=pytest.fail)
    assert isinstance(store, Pkcs11Store)
    assert store.uri == hsm.uri
