"""Key files are encrypted, private and compared with the pinned key; other files are refused."""

import base64
import codecs
import os
import re
import stat
import subprocess
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from support.passphrases import Given
from support.tools import require_tool
from support.users import ADA, give

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError, KeyUnavailable, OutputExists, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.files.reading import UnsafeFile
from polygent_issuer.keys import file_store, openssh, passphrases
from polygent_issuer.keys.file_store import FileStore
from polygent_issuer.keys.signer import Presence, generate_private_key
from polygent_issuer.verifier.keys import Key

PASSPHRASE = b"correct horse battery staple"
PRIVATE = generate_private_key()
KEY = Key.from_public_key(PRIVATE.public_key())


class Opened:
    """A file store, with its warnings and its passphrase prompts."""

    def __init__(self, path: Path | str, secret: bytes = PASSPHRASE) -> None:
        """Open the store of a path."""
        place = store_uri.parse(f"file:{path}")
        assert isinstance(place, store_uri.FileLocation)
        self.warnings: list[str] = []
        self.passphrase = Given(secret)
        self.store = FileStore(place, passphrase=self.passphrase, warn=self.warnings.append)

    def refusal(self, pinned: Key = KEY) -> KeyUnavailable:
        """Return the error of loading a key."""
        with pytest.raises(KeyUnavailable) as raised:
            self.store.load(pinned)
        return raised.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A saved key file."""
    Opened(tmp_path / "main.key").store.save(PRIVATE, label="main")
    return tmp_path / "main.key"


def test_a_saved_key_is_loaded_and_signs(tmp_path: Path) -> None:
    """A saved key is read back and signs; its URI names this file."""
    opened = Opened(tmp_path / "main.key")
    assert opened.store.uri == f"file:{tmp_path}/main.key"
    assert opened.store.presence(KEY.kid) is Presence.ABSENT
    assert opened.store.save(PRIVATE, label="other") == f"file:{tmp_path}/main.key"
    assert opened.store.presence(KEY.kid) is Presence.PRESENT
    assert KEY.verifies(opened.store.load(KEY).sign(b"data"), b"data")
    assert opened.passphrase.asked == [
        ("the new key file main.key", True),
        ("the key file main.key", False),
    ]
    assert opened.warnings == []


def test_the_file_is_private_and_encrypted(path: Path) -> None:
    """A key file has mode 0600 and the OpenSSH format with bcrypt."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["main.key"]
    envelope = openssh.parse_openssh(path.read_bytes())
    assert envelope.public_key == KEY
    assert envelope.rounds == 1


@pytest.mark.usefixtures("unhurried")
def test_64_rounds_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store encrypts with 64 rounds by default (one is run here)."""
    asked: list[int] = []
    seal = openssh.seal_openssh

    def sealed(private_key: ec.EllipticCurvePrivateKey, passphrase: bytes, *, rounds: int) -> bytes:
        asked.append(rounds)
        return seal(private_key, passphrase, rounds=1)

    monkeypatch.setattr(file_store, "seal_openssh", sealed)
    place = store_uri.parse(f"file:{tmp_path}/main.key")
    assert isinstance(place, store_uri.FileLocation)
    store = FileStore(place, passphrase=Given(PASSPHRASE), warn=pytest.fail)
    store.save(PRIVATE, label="main")
    assert asked == [64]


def test_a_folder_holds_one_file_per_key(tmp_path: Path) -> None:
    """In a folder a file is named by label and kid, and found by the kid."""
    folder = tmp_path / "keys"
    opened = Opened(f"{folder}/")
    other = generate_private_key()
    other_key = Key.from_public_key(other.public_key())
    uri = opened.store.save(PRIVATE, label="Main key/2026")
    opened.store.save(other, label="鍵")
    assert uri == f"file:{folder}/main-key-2026-{KEY.kid[:8]}.key"
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        [f"main-key-2026-{KEY.kid[:8]}.key", f"jian-{other_key.kid[:8]}.key"]
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for key in (KEY, other_key):
        assert Opened(folder).store.load(key).public_key == key
        assert Opened(folder).store.presence(key.kid) is Presence.PRESENT


def test_a_folder_without_the_key_is_reported(tmp_path: Path) -> None:
    """A file with only the name of the key does not count."""
    folder = tmp_path / "keys"
    other = generate_private_key()
    Opened(f"{folder}/").store.save(other, label="other")
    (only,) = folder.iterdir()
    only.rename(folder / f"other-{KEY.kid[:8]}.key")
    refused = Opened(folder).refusal()
    assert refused.code == "no_such_key"
    assert f"{folder}/*-{KEY.kid[:8]}.key" in refused.message
    assert Opened(folder).store.presence(KEY.kid) is Presence.ABSENT


def test_a_missing_file_or_folder_is_reported(tmp_path: Path, path: Path) -> None:
    """A missing file is a missing key; the error names its path."""
    for place in (tmp_path / "none.key", f"{tmp_path}/none/", path / "below"):
        refused = Opened(place).refusal()
        assert refused.code == "no_such_key"
        assert str(refused.hint).endswith(": polygent-issue key import BACKUP")
        assert Opened(place).store.presence(KEY.kid) is Presence.ABSENT


def test_a_wrong_passphrase_is_refused(path: Path) -> None:
    """A wrong passphrase does not open the file, and is in no message."""
    refused = Opened(path, b"another secret").refusal()
    assert refused.code == "wrong_passphrase"
    assert "another secret" not in f"{refused.message}{refused.hint}{refused!r}"


def test_another_key_is_refused_before_the_passphrase(path: Path) -> None:
    """A file with another public key is refused without a prompt."""
    other = Key.from_public_key(generate_private_key().public_key())
    opened = Opened(path)
    refused = opened.refusal(other)
    assert refused.code == "key_mismatch"
    assert KEY.kid in refused.message
    assert other.kid in refused.message
    assert opened.passphrase.asked == []
    assert opened.store.presence(other.kid) is Presence.ABSENT


def test_a_flipped_bit_never_loads_another_key(path: Path) -> None:
    """A file with a flipped bit is refused, or still loads the pinned key."""
    data = path.read_bytes()
    codes = set()
    for index in range(0, len(data), 4):
        flipped = bytearray(data)
        flipped[index] ^= 1 << (index // 4 % 7)
        path.write_bytes(flipped)
        try:
            loaded = Opened(path).store.load(KEY)
        except KeyUnavailable as refused:
            codes.add(refused.code)
            continue
        assert loaded.public_key == KEY
        assert KEY.verifies(loaded.sign(b"data"), b"data")
    assert {"wrong_passphrase", "key_damaged", "key_mismatch"} <= codes


def test_a_changed_private_number_is_detected(path: Path) -> None:
    """A flip in the private number loads another key, which the pinned key reveals."""
    sealed = openssh.parse_openssh(path.read_bytes()).sealed
    codes = []
    for offset in range(1, 80):
        flipped = bytearray(sealed)
        flipped[-offset] ^= 1
        body = base64.encodebytes(bytes(flipped))
        path.write_bytes(
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"-----END OPENSSH PRIVATE KEY-----\n"
        )
        codes.append(Opened(path).refusal().code)
    assert codes.count("key_mismatch") >= 28


def test_too_many_rounds_are_refused_before_bcrypt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 rounds are refused before a prompt and before bcrypt runs."""
    sealed = openssh.parse_openssh(path.read_bytes()).sealed
    at = sealed.index(b"bcrypt") + 6 + 4 + 4 + 16
    body = base64.encodebytes(sealed[:at] + (2000).to_bytes(4, "big") + sealed[at + 4 :])
    path.write_bytes(
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"-----END OPENSSH PRIVATE KEY-----\n"
    )
    monkeypatch.setattr(bcrypt, "kdf", pytest.fail)
    opened = Opened(path)
    refused = opened.refusal()
    assert refused.code == "unsupported_key"
    assert "2000 rounds" in refused.message
    assert opened.passphrase.asked == []


@pytest.mark.parametrize(
    "kind", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
def test_a_plaintext_file_is_refused(path: Path, kind: PrivateFormat) -> None:
    """A key file without a passphrase is refused in every format; the hint is to import it."""
    path.write_bytes(PRIVATE.private_bytes(Encoding.PEM, kind, NoEncryption()))
    opened = Opened(path)
    refused = opened.refusal()
    assert refused.code == "plaintext_key"
    command = f"polygent-issue key import {path} --store file:~/polygent-keys/"
    assert str(refused.hint).endswith(command)
    assert opened.passphrase.asked == []


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 100, b"no key", b"x" * (file_store.FILE_LIMIT + 1), KEY.to_pem()],
    ids=["empty", "zeros", "text", "large", "public"],
)
def test_a_file_without_a_key_is_refused(path: Path, data: bytes) -> None:
    """A file without a key is reported as damaged."""
    path.write_bytes(data)
    assert Opened(path).refusal().code == "key_damaged"
    assert Opened(path).store.presence(KEY.kid) is Presence.UNAVAILABLE


def test_a_path_is_checked_before_a_key_is_saved(tmp_path: Path) -> None:
    """An existing file, a link or a missing folder is refused without a prompt."""
    (tmp_path / "taken.key").symlink_to(tmp_path / "nowhere")
    for place, error in (
        (tmp_path / "taken.key", OutputExists),
        (tmp_path / "no" / "x.key", OutputProblem),
        (f"{tmp_path}/no/keys/", OutputProblem),
    ):
        opened = Opened(place)
        with pytest.raises(error) as raised:
            opened.store.require_room()
        assert raised.value.hint
        assert "remove" not in raised.value.hint
        assert opened.passphrase.asked == []
    for place in (tmp_path / "new.key", tmp_path, f"{tmp_path}/keys/"):
        Opened(place).store.require_room()
    assert [path.name for path in tmp_path.iterdir()] == ["taken.key"]


def test_an_oversized_file_is_refused(path: Path) -> None:
    """A file with a valid beginning that is too large is refused."""
    path.write_bytes(path.read_bytes() + b"\n" * file_store.FILE_LIMIT)
    assert Opened(path).refusal().code == "key_damaged"


def test_an_encrypted_pkcs8_file_points_to_import(path: Path) -> None:
    """An encrypted file in another format is refused; the hint is to import it."""
    path.write_bytes(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    refused = Opened(path).refusal()
    assert refused.code == "key_damaged"
    assert "key import" in str(refused.hint)


def test_a_pipe_does_not_hang(path: Path) -> None:
    """A FIFO without a writer is refused at once."""
    path.unlink()
    os.mkfifo(path)
    refused = Opened(path).refusal()
    assert refused.code == "key_damaged"
    assert refused.message.endswith("cannot be read: it is a pipe, not a regular file")


def test_a_key_file_that_an_editor_saved_in_another_encoding(path: Path) -> None:
    """A byte order mark and CRLF are accepted; UTF-16 is refused with its name."""
    text = path.read_text().replace("\n", "\r\n")
    path.write_bytes(text.encode("utf-8-sig"))
    assert Opened(path).store.load(KEY).kid == KEY.kid
    path.write_bytes(text.encode("utf-16"))
    refused = Opened(path).refusal()
    assert refused.code == "key_damaged"
    assert refused.message == f"cannot read the key file {path}: it is in UTF-16"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_bytes_that_an_earlier_version_used_open_an_existing_key(path: Path, mark: bytes) -> None:
    """The bytes that earlier versions used are tried second, with a warning."""
    source = path.with_name("passphrase")
    source.write_bytes(mark + PASSPHRASE + b"\n")
    source.chmod(0o600)
    path.write_bytes(openssh.seal_openssh(PRIVATE, mark + PASSPHRASE, rounds=1))
    warnings: list[str] = []
    place = store_uri.file_location(path)
    given = passphrases.from_file(source, warn=warnings.append)
    store = FileStore(place, passphrase=given, warn=warnings.append)
    assert store.load(KEY).kid == KEY.kid
    assert store.adopt().key == KEY
    assert len(warnings) == 2
    assert all(
        "the key file main.key opens only with all of its bytes" in each for each in warnings
    )
    assert str(source) in warnings[0]


def test_a_new_key_never_gets_the_bytes_of_an_earlier_version(tmp_path: Path) -> None:
    """A new passphrase has no byte order mark; UTF-16 is refused first."""
    source = tmp_path / "passphrase"
    source.write_bytes(codecs.BOM_UTF8 + PASSPHRASE + b"\r\n")
    source.chmod(0o600)
    warnings: list[str] = []
    place = store_uri.file_location(tmp_path / "main.key")
    given = passphrases.from_file(source, warn=warnings.append)
    FileStore(place, passphrase=given, warn=warnings.append).save(PRIVATE, label="main")
    assert Opened(tmp_path / "main.key").store.load(KEY).kid == KEY.kid
    source.write_bytes("correct horse".encode("utf-16"))
    place = store_uri.file_location(tmp_path / "other.key")
    given = passphrases.from_file(source, warn=warnings.append)
    store = FileStore(place, passphrase=given, warn=warnings.append)
    with pytest.raises(KeyUnavailable, match="it is in UTF-16"):
        store.save(PRIVATE, label="other")
    assert not (tmp_path / "other.key").exists()
    assert warnings == []


def test_a_folder_instead_of_a_file_is_searched(path: Path) -> None:
    """A path that became a folder is a store with a file per key."""
    path.unlink()
    path.mkdir()
    assert Opened(path).refusal().code == "no_such_key"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_readable_mode_warns(path: Path, mode: int) -> None:
    """A file that others can read still works; the warning names the file and the fix."""
    path.chmod(mode)
    opened = Opened(path)
    assert opened.store.load(KEY).kid == KEY.kid
    assert opened.warnings == [f"other users can read the key file {path}: chmod 600 {path}"]


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_every_user_may_write_to_is_refused(path: Path, mode: int) -> None:
    """A world-writable file is refused with exit 7, before the prompt."""
    path.chmod(mode)
    opened = Opened(path)
    with pytest.raises(UnsafeFile, match=f"^every user may write to the key file {path}$"):
        opened.store.load(KEY)
    with pytest.raises(UnsafeFile):
        opened.store.adopt()
    assert opened.store.presence(KEY.kid) is Presence.UNAVAILABLE
    assert opened.passphrase.asked == []


def test_a_new_file_on_a_disk_without_modes_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key file that every user can change is removed again."""
    create = os.open

    def without_modes(path: Path, flags: int, mode: int = 0) -> int:
        return create(path, flags, 0o666 if mode else mode)

    monkeypatch.setattr(os, "open", without_modes)
    umask = os.umask(0)
    try:
        with pytest.raises(UnsafeFile, match=r"so it was removed again$") as raised:
            Opened(tmp_path / "main.key").store.save(PRIVATE, label="main")
        backup = Opened(tmp_path / "backup.key").store.write(PRIVATE, label="main")
    finally:
        os.umask(umask)
    assert raised.value.hint == "choose a path on a disk that supports file owners and modes"
    assert list(tmp_path.iterdir()) == [backup]


def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """A file of another user is refused, also as one of several in a folder."""
    folder = path.parent / "keys"
    folder.mkdir()
    path.rename(folder / f"main-{KEY.kid[:8]}.key")
    give(folder, user=ADA)
    with pytest.raises(UnsafeFile, match=f"belongs to another user .uid {ADA}"):
        Opened(folder).store.load(KEY)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_mode_does_not_warn(path: Path, mode: int) -> None:
    """Mode 0600 or stricter gives no warning."""
    path.chmod(mode)
    opened = Opened(path)
    opened.store.load(KEY)
    assert opened.warnings == []


def test_reading_follows_a_link(path: Path, tmp_path: Path) -> None:
    """A link is followed, since containers mount secrets as links; the pinned key decides."""
    link = tmp_path / "link.key"
    link.symlink_to(path)
    assert Opened(link).store.load(KEY).kid == KEY.kid


@pytest.mark.parametrize("target", ["elsewhere.key", "main.key"])
def test_saving_never_follows_a_link(path: Path, tmp_path: Path, target: str) -> None:
    """A link at the path of a new file is refused, dangling or not."""
    before = path.read_bytes()
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / target)
    with pytest.raises(OutputExists):
        Opened(link).store.save(generate_private_key(), label="main")
    assert link.is_symlink()
    assert not (tmp_path / "elsewhere.key").exists()
    assert path.read_bytes() == before


def test_saving_never_overwrites(path: Path) -> None:
    """An existing file is not changed."""
    before = path.read_bytes()
    with pytest.raises(OutputExists):
        Opened(path).store.save(generate_private_key(), label="main")
    assert path.read_bytes() == before


def test_saving_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """A folder is created only if the URI names it as a folder."""
    with pytest.raises(OutputProblem):
        Opened(tmp_path / "none" / "main.key").store.save(PRIVATE, label="main")
    with pytest.raises(OutputProblem):
        Opened(f"{tmp_path}/none/none/").store.save(PRIVATE, label="main")


def test_a_key_that_reads_back_differently_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses or changes the file is detected at once."""
    other = openssh.seal_openssh(generate_private_key(), PASSPHRASE, rounds=1)

    def write_another(_data: bytes, path: Path) -> Path:
        path.write_bytes(other)
        return path

    monkeypatch.setattr(publication, "write_private", write_another)
    with pytest.raises(KeyUnavailable) as raised:
        Opened(tmp_path / "main.key").store.save(PRIVATE, label="main")
    assert raised.value.code == "not_kept"


def test_nothing_secret_is_in_the_file_or_the_errors(path: Path) -> None:
    """The file and the errors contain neither the private number nor the passphrase."""
    number = PRIVATE.private_numbers().private_value
    der = PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    raw = number.to_bytes(32, "big")
    secrets = [raw, base64.b64encode(raw), raw.hex().encode(), der, base64.b64encode(der)]
    messages = b""
    for refuse in (
        lambda: Opened(path, b"wrong").store.load(KEY),
        lambda: Opened(path).store.save(PRIVATE, label="main"),
    ):
        with pytest.raises(IssuerError) as raised:
            refuse()
        messages += f"{raised.value!r}{raised.value.message}{raised.value.hint}".encode()
    for secret in [*secrets, PASSPHRASE, str(number).encode()]:
        assert secret not in path.read_bytes()
        assert secret not in base64.b64decode(b"".join(path.read_bytes().split(b"\n")[1:-2]))
        assert secret not in messages


def test_ssh_keygen_opens_it_in_an_emergency(path: Path) -> None:
    """`ssh-keygen -p -m PKCS8` converts a key file for other libraries."""
    tool = require_tool("ssh-keygen", "openssh-client")
    command = [tool, "-p", "-m", "PKCS8", "-P", PASSPHRASE.decode(), "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    converted = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(converted, ec.EllipticCurvePrivateKey)
    assert converted.private_numbers() == PRIVATE.private_numbers()


@pytest.mark.parametrize("cipher", ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com"])
def test_a_file_of_ssh_keygen_is_a_store(tmp_path: Path, cipher: str) -> None:
    """A key file that ssh-keygen made, with each of these ciphers, is loaded."""
    tool = require_tool("ssh-keygen", "openssh-client")
    path = tmp_path / "made.key"
    kind = [tool, "-q", "-t", "ecdsa", "-b", "256", "-a", "2", "-Z", cipher]
    subprocess.run(
        [*kind, "-N", PASSPHRASE.decode(), "-f", str(path)], check=True, capture_output=True
    )
    key = openssh.parse_openssh(path.read_bytes()).public_key
    assert Opened(path).store.load(key).kid == key.kid
    assert re.fullmatch(r"[\w-]{43}", key.kid)


def test_an_unreadable_file_is_not_a_missing_one(path: Path) -> None:
    """Without permission the error names the file and the reason."""
    path.chmod(0)
    before = os.geteuid()
    if before == 0:  # root reads everything
        os.seteuid(65534)
    try:
        refused = Opened(path).refusal()
        presence = Opened(path).store.presence(KEY.kid)
    finally:
        os.seteuid(before)
    assert refused.code == "key_unavailable"
    assert refused.message == f"the key file {path} cannot be read: permission denied"
    assert presence is Presence.UNAVAILABLE


def test_an_unreadable_folder_is_not_an_empty_one(tmp_path: Path) -> None:
    """A folder without permission is not reported as a missing key."""
    opened = Opened(f"{tmp_path}/")
    tmp_path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        refused = opened.refusal()
    finally:
        os.seteuid(before)
        tmp_path.chmod(0o700)
    assert refused.code == "key_unavailable"
