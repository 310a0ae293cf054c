"""Store URIs: what they name, and what is refused."""

from pathlib import Path

import pytest

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidStore


def test_keyring_is_the_operating_systems() -> None:
    """`keyring:` names no place of its own; the colon may be left out."""
    assert store_uri.parse("keyring:") == store_uri.KeyringLocation()
    assert store_uri.parse("keyring").uri == "keyring:"


def test_a_token_is_recorded_in_one_spelling() -> None:
    """What `settings.token_uri` reads is a place like the others; elsewhere stands how."""
    place = store_uri.parse("pkcs11:type=private;token=a%62?module-path=/m%2Fx.so")
    assert place == store_uri.parse_token("pkcs11:token=ab?module-path=/m/x.so")
    assert place.uri == "pkcs11:token=ab?module-path=/m/x.so"


def test_a_token_that_is_not_exactly_named_is_refused() -> None:
    """With the hint of whoever reads such URIs."""
    with pytest.raises(InvalidStore) as raised:
        store_uri.parse("pkcs11:token=a")
    assert raised.value.code == "invalid_store"
    assert "module-path=" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:/keys/main.key", "/keys/main.key"),
        ("file:///keys/main.key", "/keys/main.key"),
        ("file:/keys/with space%20.key", "/keys/with space%20.key"),
        ("file:/schlüssel/ключ.key", "/schlüssel/ключ.key"),
    ],
)
def test_a_file_is_taken_as_written(uri: str, path: str) -> None:
    """An absolute path is one key's file; nothing in it is decoded."""
    place = store_uri.parse(uri)
    assert place == store_uri.FileLocation(path=Path(path), folder=False)
    assert place.uri == f"file:{path}"


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded works from any folder; `~` is the home of the person."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    relative, home = store_uri.parse("file:a/b.key"), store_uri.parse("file:~/b.key")
    assert relative.uri == f"file:{tmp_path}/a/b.key"
    assert home.uri == f"file:{tmp_path}/home/b.key"


def test_a_path_that_goes_up_is_recorded_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`..` is what the system takes it for: the folder above where a link leads; the name stays."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    (tmp_path / "real" / "x.key").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "real")
    up, past = store_uri.parse("file:../y.key"), store_uri.parse("file:../link/../x.key")
    assert up.uri == f"file:{tmp_path}/y.key"
    assert past.uri == f"file:{tmp_path}/real/x.key"
    assert store_uri.file_location(Path("..")) == store_uri.FileLocation(path=tmp_path, folder=True)
    assert store_uri.parse("file:../no/") == store_uri.FileLocation(
        path=tmp_path / "no", folder=True
    )


def test_the_example_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hints propose is a folder that anybody may make, below the home of the person."""
    monkeypatch.setenv("HOME", str(tmp_path))
    place = store_uri.parse(store_uri.EXAMPLE_FILE_URI)
    assert place == store_uri.FileLocation(path=tmp_path / "polygent-keys", folder=True)


def test_a_folder_is_one_that_exists_or_ends_with_a_slash(tmp_path: Path) -> None:
    """A folder's URI ends with a slash, so that it stays one when it is gone."""
    existing, named = store_uri.parse(f"file:{tmp_path}"), store_uri.parse(f"file:{tmp_path}/no/")
    assert existing == store_uri.FileLocation(path=tmp_path, folder=True)
    assert existing.uri == f"file:{tmp_path}/"
    assert named == store_uri.FileLocation(path=tmp_path / "no", folder=True)
    assert named.uri == f"file:{tmp_path}/no/"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "keyring:null",
        "Keyring:",
        "file",
        "file:",
        "file://host/key",
        "FILE:/a",
        "PKCS11:token=a?module-path=/m.so",
        "/keys/main.key",
        "file:/a\0b",
        "file:/a\x1b[2Jb",
        "file:/a\u202eb",
        "file:~nobody-of-this-name/b",
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    """Other schemes, hosts and steering characters are refused, and shown escaped."""
    with pytest.raises(InvalidStore) as raised:
        store_uri.parse(uri)
    assert raised.value.code == "invalid_store"
    assert raised.value.message.isprintable()
    assert "--store" in str(raised.value.hint)
