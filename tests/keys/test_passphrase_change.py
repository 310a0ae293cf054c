"""Failures while a passphrase is changed: one of the two opens the file, and the error names it."""

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from support.passphrases import Given, new

from polygent_issuer.errors import HomeProblem, IssuerError, OutputProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.keys import file_store, openssh
from polygent_issuer.keys.lifecycle import KeyLifecycle, StoredKey
from polygent_issuer.keys.passphrase_change import change_passphrase
from polygent_issuer.registry import journal
from polygent_issuer.registry.writing import Writing

OLD, NEW = b"correct horse battery staple", b"another horse, and long"


@pytest.fixture
def stored(key_lifecycle: KeyLifecycle, tmp_path: Path) -> StoredKey:
    """A key in a file."""
    store = f"file:{tmp_path}/keys/main.key"
    (tmp_path / "keys").mkdir()
    return key_lifecycle.generate(label="Main", store_uri=store, backup=None)


def change(lifecycle: KeyLifecycle, stored: StoredKey) -> IssuerError:
    """Return the error of a change to the new passphrase."""
    settings = dataclasses.replace(lifecycle.settings, stores={stored.key.kid: stored.uri})
    changing = dataclasses.replace(lifecycle, settings=settings, passphrase=new(Given(NEW)))
    with pytest.raises(IssuerError) as raised:
        change_passphrase(changing, stored.key, old=Given(OLD))
    return raised.value


def opens(stored: StoredKey, secret: bytes) -> bool:
    """Return whether a passphrase opens the only file in the folder of the key."""
    path = Path(stored.uri.removeprefix("file:"))
    assert list(path.parent.iterdir()) == [path]
    try:
        load_ssh_private_key(path.read_bytes(), secret)
    except ValueError:
        return False
    return True


def events(lifecycle: KeyLifecycle) -> list[str]:
    """Return the journal's events."""
    with lifecycle.registry.reading() as db:
        return [row.event for row in journal.rows(db)]


def fail(*_: object, **__: object) -> None:
    """Fail as a disk does."""
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("step", ["write", "read back", "record", "rename"])
def test_a_failure_before_the_replacement_changes_nothing(
    step: str, key_lifecycle: KeyLifecycle, stored: StoredKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old passphrase opens the file, no temporary file is left, and no row is written."""
    before = events(key_lifecycle)
    code = "output_failed"
    if step == "write":
        monkeypatch.setattr(disk, "write_temporary", fail)
    elif step == "read back":
        seal = openssh.seal_openssh
        monkeypatch.setattr(
            file_store, "seal_openssh", lambda key, _, rounds: seal(key, b"lost", rounds=rounds)
        )
        code = "not_kept"
    elif step == "record":

        def locked(*_: object, **__: object) -> None:
            raise HomeProblem("the registry is locked", code="registry_locked")

        monkeypatch.setattr(Writing, "record", locked)
        code = "registry_locked"
    else:
        monkeypatch.setattr(Path, "replace", fail)
    assert change(key_lifecycle, stored).code == code
    monkeypatch.undo()
    assert opens(stored, OLD)
    assert events(key_lifecycle) == before


def test_a_failure_after_the_replacement_names_the_new_passphrase(
    key_lifecycle: KeyLifecycle, stored: StoredKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was replaced, but the disk did not confirm it: the error states both."""
    before = events(key_lifecycle)

    def unsynced(folder: Path) -> None:
        if folder.name == "keys":
            raise OutputProblem("the disk failed")

    monkeypatch.setattr(disk, "sync_folder", unsynced)
    error = change(key_lifecycle, stored)
    assert error.code == "not_recorded"
    assert error.message.endswith(
        "main.key has the new passphrase, but this could not be recorded: the disk failed"
    )
    assert error.hint == "use the new passphrase; if it does not open the file, the old one does"
    assert opens(stored, NEW)
    assert events(key_lifecycle) == before


def test_a_replacement_that_is_interrupted_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during the rename removes the temporary file."""
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    replacement = publication.prepare_replacement(b"new", path)
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replacement.rename()
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"old"
