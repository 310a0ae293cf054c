"""`polygent-issue key import`: foreign keys, backups and copies of another operator."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.keys import kid_of
from support.terminal import terminal

from polygent_issuer.home import settings, settings_editing
from polygent_issuer.verifier import Key

EXAMPLE = Path(__file__).parents[4] / "keys.example" / "private.pem"
ABSENT = {"DBUS_SESSION_BUS_ADDRESS": ""}
FORMATS = {
    "pkcs8": PrivateFormat.PKCS8,
    "sec1": PrivateFormat.TraditionalOpenSSL,
    "openssh": PrivateFormat.OpenSSH,
}


def foreign(desk: Desk, form: str = "pkcs8", *, passphrase: str | None = None) -> tuple[str, str]:
    """Write a key file of another program; return its path and kid."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    path = desk.folder / f"foreign.{form}"
    path.write_bytes(key.private_bytes(Encoding.PEM, FORMATS[form], encryption))
    path.chmod(0o600)
    return str(path), Key.from_public_key(key.public_key()).kid


def keeping(desk: Desk, name: str = "kept.key") -> tuple[str, ...]:
    """Return the options that store it in a file of the desk's folder."""
    return "--store", f"file:{desk.folder / name}", "--no-backup"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_each_format_is_imported(bare: Desk, form: str, passphrase: str | None) -> None:
    """Plain or encrypted, the key is stored in our own file and active, in a new home."""
    path, kid = foreign(bare, form, passphrase=passphrase)
    before = Path(path).read_bytes()
    outcome = bare.ok("key", "import", path, "--label", "old tool", *keeping(bare), "--json")
    assert outcome.json["new"] is True
    key = outcome.json["key"]
    assert (key["kid"], key["label"], key["active"]) == (kid, "old tool", True)
    assert kid_of(bare.folder / "kept.key") == kid
    assert Path(path).read_bytes() == before
    events = [r["event"] for r in bare.ok("journal", "show", "--json").json["rows"]]
    assert events[-1] == "key-imported"


def test_a_key_is_read_from_stdin(bare: Desk) -> None:
    """`-` reads the key from stdin."""
    path, kid = foreign(bare)
    argv = ("key", "import", "-", "--label", "x", *keeping(bare), "--json")
    assert bare.ok(*argv, stdin=Path(path).read_bytes()).json["key"]["kid"] == kid


def test_an_import_can_write_a_backup(bare: Desk) -> None:
    """The backup is the same as that of `key generate`."""
    path, kid = foreign(bare)
    backup = bare.folder / "x.backup"
    store = ("--store", f"file:{bare.folder}/kept.key")
    bare.ok("key", "import", path, "--label", "x", *store, "--backup", str(backup))
    assert kid_of(backup) == kid


def test_a_new_key_gets_a_label(bare: Desk) -> None:
    """The default label is main, then main-2; a label in use is refused."""
    for label in ("main", "main-2"):
        path, _ = foreign(bare)
        outcome = bare.ok("key", "import", path, *keeping(bare, label), "--json")
        assert outcome.json["key"]["label"] == label
    path, _ = foreign(bare)
    taken = bare.run("key", "import", path, "--label", "main", *keeping(bare))
    assert taken.code == 3
    assert not (bare.folder / "kept.key").exists()


def test_an_unencrypted_source_is_warned_of(bare: Desk) -> None:
    """A warning asks to delete it, and the new key has no backup yet."""
    path, _ = foreign(bare)
    outcome = bare.ok("key", "import", path, *keeping(bare))
    assert f"warning: {path} still has the key unencrypted; delete it securely\n" in (outcome.err)
    assert "a lost key means a new public key on every server" in outcome.text
    piped, _ = foreign(bare)
    argv = ("key", "import", "-", *keeping(bare, "piped.key"))
    outcome = bare.ok(*argv, stdin=Path(piped).read_bytes())
    assert "warning: the source of the key still has the key unencrypted" in outcome.err


@pytest.mark.parametrize(("form", "serves"), [("openssh", True), ("pkcs8", False)])
def test_an_encrypted_source_counts_as_a_backup(bare: Desk, form: str, *, serves: bool) -> None:
    """In the format of backups it is recorded as one, without a warning."""
    path, _ = foreign(bare, form, passphrase=PASSPHRASE)
    outcome = bare.ok("key", "import", path, *keeping(bare))
    assert "plaintext" not in outcome.err
    assert (f"{path} is encrypted and can serve as the backup" in outcome.text) is serves
    assert ("a lost key means a new public key on every server" in outcome.text) is not serves


def test_a_known_key_returns_to_its_store(desk: Desk) -> None:
    """`key import BACKUP` without options uses the store of the settings."""
    backup = desk.folder / "main.backup"
    desk.ok("key", "backup", "main", str(backup))
    before = kid_of(desk.folder / "main.key")
    (desk.folder / "main.key").unlink()
    lost = desk.run("sign", "--machine-info", desk.machine_info())
    assert lost.err.endswith(f"polygent-issue key import {desk.folder}/main.backup\n")
    result = desk.ok("key", "import", str(backup), "--json").json
    assert result["key"]["store"] == f"file:{desk.folder}/main.key"
    assert (result["new"], result["backup"]) == (False, None)
    assert kid_of(desk.folder / "main.key") == before
    desk.ok("sign", "--machine-info", desk.machine_info())
    again = desk.run("key", "import", str(backup), "--json").json["error"]
    assert again["code"] == "output_exists"
    assert "remove" not in again["hint"]


def test_a_failed_import_creates_no_home(bare: Desk) -> None:
    """A wrong passphrase, an existing file or a missing keyring create nothing."""
    path, _ = foreign(bare, passphrase="another")
    plain, _ = foreign(bare, "sec1")
    (bare.folder / "taken.key").write_text("mine")
    taken = ("--store", f"file:{bare.folder}/taken.key")
    before = tree(bare.folder)
    for argv, code in (
        ((path, "--no-backup"), "wrong_passphrase"),
        ((plain, *taken), "output_exists"),
        ((plain, "--store", "ftp:x"), "invalid_store"),
        ((plain, "--backup", "x", "--no-backup"), "usage"),
        ((plain, "--store", f"file:{bare.folder}/x.key"), "missing_input"),
    ):
        assert bare.run("key", "import", *argv, "--json").json["error"]["code"] == code
        assert tree(bare.folder) == before


def test_without_a_keyring_the_hint_uses_a_file(
    bare: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suggested command has the typed label."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    path, _ = foreign(bare)
    outcome = bare.run("key", "import", path, "--label", "my key", "--no-backup")
    assert outcome.code == 6
    options = f"--store file:~/polygent-keys/ --label 'my key' --no-backup {path}\n"
    assert outcome.err.endswith(f"polygent-issue key import {options}")
    assert not bare.home.exists()


def test_the_prompt_for_the_backup_comes_last(empty_desk: Desk) -> None:
    """On a terminal the source is opened first."""
    path, _ = foreign(empty_desk, passphrase="the old one")
    argv = ("key", "import", path, "--store", f"file:{empty_desk.folder}/kept.key")
    with terminal(empty_desk, *argv) as person:
        for left in ("2 tries left", "1 try left", "error: wrong passphrase, or the key file"):
            person.sees("passphrase for the key file: ")
            person.types_secretly("wrong")
            person.sees(left)
        assert person.ends() == 6
    assert "backup" not in person.screen
    assert not empty_desk.home.exists()


def test_a_script_must_decide_about_the_backup(bare: Desk) -> None:
    """Without a terminal it is exit 3, and no home is created."""
    path, _ = foreign(bare)
    store = ("--store", f"file:{bare.folder}/kept.key")
    outcome = bare.run("key", "import", path, "--label", "x", *store, "--json")
    assert outcome.json["error"]["code"] == "missing_input"
    assert not bare.home.exists()


def test_a_restored_key_keeps_its_label(desk: Desk) -> None:
    """Label and state stay, the settings have the new store, and the key signs."""
    backup = desk.folder / "main.backup"
    desk.ok("key", "backup", "main", str(backup))
    (desk.folder / "main.key").unlink()
    lost = desk.run("sign", "--machine-info", desk.machine_info())
    assert lost.code == 6
    outcome = desk.ok("key", "import", str(backup), *keeping(desk, "again.key"))
    assert " already" in outcome.text
    assert "key export-public" not in outcome.text
    (key,) = desk.ok("key", "list", "--json").json["keys"]
    assert (key["label"], key["active"]) == ("main", True)
    assert key["store"] == f"file:{desk.folder}/again.key"
    desk.ok("sign", "--machine-info", desk.machine_info())


def test_a_second_operator_imports_a_copy(desk: Desk) -> None:
    """Settings without the store of the key get it by the import."""
    kid = kid_of(desk.folder / "main.key")
    settings_editing.set_value(desk.home, f"stores.{kid}", "")
    copy = desk.folder / "copy.key"
    copy.write_bytes((desk.folder / "main.key").read_bytes())
    result = desk.ok("key", "import", str(copy), *keeping(desk), "--json").json
    assert result["new"] is False
    assert settings.load(desk.home, {}).settings.stores == {kid: f"file:{desk.folder}/kept.key"}


def test_the_example_key_is_refused(desk: Desk) -> None:
    """The example key is published, so it is exit 6."""
    before = tree(desk.folder)
    outcome = desk.run("key", "import", str(EXAMPLE), "--label", "x", *keeping(desk), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (6, "example_key")
    assert tree(desk.folder) == before


def test_a_wrong_passphrase_imports_nothing(desk: Desk) -> None:
    """A wrong passphrase is exit 6, and no key is stored."""
    path, _ = foreign(desk, passphrase="another")
    before = tree(desk.folder)
    outcome = desk.run("key", "import", path, "--label", "x", *keeping(desk), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (6, "wrong_passphrase")
    assert tree(desk.folder) == before


def test_another_file_than_a_signing_key_is_refused(desk: Desk) -> None:
    """Another curve, a large or missing file is refused and never quoted."""
    other = ed25519.Ed25519PrivateKey.generate()
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, code in (
        (pem, "unsupported_key"),
        (b"SECRET-CONTENT", "key_damaged"),
        (b"S" * 20_000, "unreadable_input"),
    ):
        path = desk.folder / "x"
        path.write_bytes(content)
        outcome = desk.run("key", "import", str(path), "--label", "x", *keeping(desk), "--json")
        assert outcome.json["error"]["code"] == code
        assert content.decode()[-20:] not in outcome.text
    missing = desk.run("key", "import", "/no/such/file", "--label", "x", *keeping(desk))
    assert missing.code == 3
    assert not (desk.folder / "kept.key").exists()


def test_a_terminal_prompts_for_both_passphrases(empty_desk: Desk) -> None:
    """The new passphrase is typed twice, and may differ from that of the source."""
    path, kid = foreign(empty_desk, "openssh", passphrase="the old one")
    argv = ("key", "import", path, "--label", "x", "--store", f"file:{empty_desk.folder}/kept.key")
    with terminal(empty_desk, *argv, "--backup", "x.backup") as person:
        person.sees("passphrase for the key file: ")
        person.types_secretly("the old one")
        person.sees("passphrase for the new key file and its backup: ")
        person.types_secretly(PASSPHRASE)
        person.sees("repeat the passphrase: ")
        person.types_secretly(PASSPHRASE)
        person.sees("imported the key x")
        assert person.ends() == 0
    assert "the old one" not in person.screen
    assert PASSPHRASE not in person.screen
    assert kid_of(empty_desk.folder / "kept.key") == kid_of(empty_desk.folder / "x.backup") == kid


@pytest.mark.parametrize("uri", ["Vault:transit/k", "vualt:transit/k", "PKCS11:token=t"])
def test_a_misspelt_uri_is_not_a_path(bare: Desk, uri: str) -> None:
    """It is refused before anything is created, and printed without its options."""
    outcome = bare.run("key", "import", f"{uri}?token=hvs.4711", "--no-backup")
    assert outcome.code == 3
    assert f"not a key store: {uri}\n" in outcome.err
    assert "4711" not in outcome.err
    assert not bare.home.exists()


def test_a_file_may_have_a_name_like_a_uri(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that exists is a file."""
    path, kid = foreign(bare)
    Path(path).rename(bare.folder / "Vault:a")
    monkeypatch.chdir(bare.folder)
    assert bare.ok("key", "import", "Vault:a", *keeping(bare), "--json").json["key"]["kid"] == kid
