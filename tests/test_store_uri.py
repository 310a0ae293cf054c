"""Store URIs: valid and invalid ones (RFC 7512 for tokens)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer import store_uri
from polygent_issuer.errors import InputRefused, InvalidStore
from polygent_issuer.home.setting_types import parse_store
from polygent_issuer.store_uri.remote import REMOTE, RemoteUri, is_loopback
from polygent_issuer.store_uri.token import TokenUri, parse_token_uri
from polygent_issuer.text import escape


def test_keyring_is_the_operating_systems() -> None:
    """`keyring:` is the operating system's keyring; the colon may be left out."""
    assert store_uri.parse("keyring:") == store_uri.KeyringLocation()
    assert store_uri.parse("keyring").uri == "keyring:"


def test_a_token_is_recorded_in_one_spelling() -> None:
    """`parse` returns the same location as `parse_token_uri`, with one spelling."""
    place = store_uri.parse("pkcs11:type=private;token=a%62?module-path=/m%2Fx.so")
    assert place == parse_token_uri("pkcs11:token=ab?module-path=/m/x.so")
    assert place.uri == "pkcs11:token=ab?module-path=/m/x.so"


def test_an_invalid_token_uri_is_refused() -> None:
    """`parse` raises the error and the hint of `parse_token_uri`."""
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
    """An absolute path is a key file; its percent-encoding is not decoded."""
    place = store_uri.parse(uri)
    assert place == store_uri.FileLocation(path=Path(path), folder=False)
    assert place.uri == f"file:{path}"


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path becomes absolute; `~` is the user's home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    relative, home = store_uri.parse("file:a/b.key"), store_uri.parse("file:~/b.key")
    assert relative.uri == f"file:{tmp_path}/a/b.key"
    assert home.uri == f"file:{tmp_path}/home/b.key"


def test_a_path_that_goes_up_is_recorded_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`..` is resolved like the system does, after links; the last name is kept."""
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


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example in hints is a folder below the user's home folder, which the user may create."""
    monkeypatch.setenv("HOME", str(tmp_path))
    place = store_uri.parse(store_uri.EXAMPLE_FILE_URI)
    assert place == store_uri.FileLocation(path=tmp_path / "polygent-keys", folder=True)


def test_a_folder_is_one_that_exists_or_ends_with_a_slash(tmp_path: Path) -> None:
    """The URI of a folder ends with a slash, so that it means a folder even when that is gone."""
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
        "file:~no-such-user/b",
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    """Other schemes, hosts and control characters are refused; the message escapes them."""
    with pytest.raises(InvalidStore) as raised:
        store_uri.parse(uri)
    assert raised.value.code == "invalid_store"
    assert raised.value.message.isprintable()
    assert "--store" in str(raised.value.hint)


def test_an_unknown_store_is_named_without_its_options() -> None:
    """Somebody may have written a token into it."""
    uri = "Vault:transit/k?token=hvs.4711"
    for read in (store_uri.parse, parse_store):
        with pytest.raises(InputRefused, match=r"not a key store: Vault:transit/k$"):
            read(uri)


def test_a_service_in_upper_case_gets_a_hint() -> None:
    """The hint for other schemes names only the places of new keys."""
    with pytest.raises(InvalidStore) as caught:
        store_uri.parse("AGENT:")
    assert caught.value.hint == "write its scheme in lower case"


@pytest.mark.parametrize(
    ("text", "like"),
    [("Vault:x", True), ("x-y:", True), ("C:x", False), ("a b:c", False), ("-", False)],
)
def test_a_text_that_is_like_a_uri(text: str, like: bool) -> None:  # noqa: FBT001
    """It begins with a scheme of two characters or more."""
    assert store_uri.is_like_uri(text) is like


MODULE = Path("/usr/lib/m.so")
TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: escape(text) == text)


def test_every_attribute_is_read() -> None:
    """Attributes are read in any order and decoded as UTF-8; an id is bytes."""
    uri = (
        "pkcs11:id=%00%ff;object=sign%3B%20%C3%A4;slot-id=17;model=v2;manufacturer=M+Co,"
        ";serial=12:ab;token=HSM%201;type=private?module-path=/usr/lib/a%20b.so"
    )
    assert parse_token_uri(uri) == TokenUri(
        module=Path("/usr/lib/a b.so"),
        token="HSM 1",
        serial="12:ab",
        manufacturer="M+Co,",
        model="v2",
        slot=17,
        label="sign; ä",
        id=b"\0\xff",
    )


def test_one_spelling() -> None:
    """A URI is written with its attributes in order, percent-encoded in upper case."""
    uri = "pkcs11:object=a@b;id=A%6a;serial=s;token=t%2Du?module-path=/x/%7Ey.so"
    assert parse_token_uri(uri).uri == (
        "pkcs11:token=t-u;serial=s;object=a%40b;id=%41%6A?module-path=/x/~y.so"
    )


@given(token=TEXTS, label=st.none() | TEXTS, key_id=st.none() | st.binary(min_size=1, max_size=9))
def test_a_written_uri_is_read_back(token: str, label: str | None, key_id: bytes | None) -> None:
    """Any token, label and id come back from their URI, which is ASCII."""
    place = TokenUri(module=MODULE, token=token, label=label, id=key_id, slot=0)
    assert place.uri.isascii()
    assert parse_token_uri(place.uri) == place


def test_the_token_alone() -> None:
    """A URI names a key by id or label; `of_token` drops both."""
    token = TokenUri(module=MODULE, token="t", serial="1", model="m", manufacturer="f", slot=1)
    assert not token.names_a_key
    for key in (
        parse_token_uri("pkcs11:token=t;id=%01?module-path=/m"),
        parse_token_uri("pkcs11:token=t;object=k?module-path=/m"),
    ):
        assert key.names_a_key
        assert key.of_token == TokenUri(module=Path("/m"), token="t")


@pytest.mark.parametrize(
    ("uri", "why", "hint"),
    [
        ("pkcs11:", "module is missing", "module-path="),
        ("pkcs11:token=t", "module is missing", "module-path="),
        ("pkcs11:token=t?", "an attribute is empty", "module-path="),
        ("pkcs11:?module-path=/m", "an attribute is empty", "token="),
        ("pkcs11:object=k?module-path=/m", "the token is missing", "serial=NUMBER"),
        ("pkcs11:token=t?module-path=m.so", "not absolute: m.so", "module-path=/PATH"),
        ("pkcs11:token=t?module-path=~/m.so", "not absolute", "module-path=/PATH"),
        ("pkcs11:token=t?module-name=softhsm", "absolute path", "module-path=/PATH"),
        ("pkcs11:token=t;token=u?module-path=/m", "token is given twice", "once"),
        ("pkcs11:token=t?module-path=/m&module-path=/n", "module-path is given twice", "once"),
        ("pkcs11:token=t;color=red?module-path=/m", "unknown attribute color", "token="),
        ("pkcs11:token=t;x-vendor=1?module-path=/m", "unknown attribute x-vendor", "token="),
        (
            "pkcs11:token=t;slot-description=a?module-path=/m",
            "attribute slot-description",
            "token=",
        ),
        ("pkcs11:token=t;to%6ben=t?module-path=/m", "unknown attribute to%6ben", "token="),
        ("pkcs11:token=t;Token=t?module-path=/m", "unknown attribute Token", "token="),
        ("pkcs11:token=t;module-path=/m", "module is missing", "module-path="),
        ("pkcs11:token=t?module-path=/m&token=t", "unknown attribute token", "module-path="),
        ("pkcs11:token=t;;serial=1?module-path=/m", "an attribute is empty", "token="),
        ("pkcs11:token=t;type=public?module-path=/m", "must be private", "leave type out"),
        ("pkcs11:token=t;slot-id=x?module-path=/m", "not a number", "slot-id"),
        ("pkcs11:token=t;slot-id=%FF?module-path=/m", "not a number", "slot-id"),
        ("pkcs11:token=?module-path=/m", "value of token is empty", "%20"),
        ("pkcs11:token?module-path=/m", "value of token is empty", "%20"),
        ("pkcs11:token=a b?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=ä?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a%2?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a%zz?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=a/b?module-path=/m", "value of token", "%2F"),
        ("pkcs11:token=a#b?module-path=/m", "value of token", "%20"),
        ("pkcs11:token=t?module-path=/m\n", "value of module-path", "%20"),
        ("pkcs11:token=t?module-path=/m;x=1", "value of module-path", "%3B"),
        ("pkcs11:token=%FF?module-path=/m", "not printable UTF-8", "token="),
        ("pkcs11:token=a%00?module-path=/m", "not printable UTF-8", "token="),
        ("pkcs11:object=%1B[2J;token=t?module-path=/m", "not printable UTF-8", "token="),
        ("pkcs11:token=%E2%80%AEt?module-path=/m", "not printable UTF-8", "token="),
        ("pkcs11:token=t?module-path=/m%0a", "not printable UTF-8", "module-path="),
    ],
)
def test_an_invalid_uri_is_refused(uri: str, why: str, hint: str) -> None:
    """The message states what is invalid and the hint how to write it; both are escaped."""
    with pytest.raises(InvalidStore) as raised:
        parse_token_uri(uri)
    assert raised.value.code == "invalid_store"
    assert why in raised.value.message
    assert hint in str(raised.value.hint)
    assert escape(raised.value.message) == raised.value.message


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=t;pin-value=8472?module-path=/m",
        "pkcs11:token=t?module-path=/m&pin-value=8472",
        "pkcs11:token=t?pin-value=8472&module-path=/m",
        "pkcs11:token=t?module-path=/m&pin-source=file:8472",
        "pkcs11:token=t?module-path=/m;pin-value=8472",
        "pkcs11:token=t;pin-value=8472",
    ],
)
def test_a_pin_is_refused_and_not_repeated(uri: str) -> None:
    """A URI with a PIN is refused, and neither message nor hint contains the PIN."""
    with pytest.raises(InvalidStore) as raised:
        parse_token_uri(uri)
    assert "8472" not in raised.value.message
    assert "8472" not in str(raised.value.hint)


def test_the_hint_names_the_sources_of_a_pin() -> None:
    """The hint names the passphrase options."""
    with pytest.raises(InvalidStore, match="must not contain a PIN") as raised:
        parse_token_uri("pkcs11:token=t?module-path=/m&pin-value=1")
    for option in ("--passphrase-fd", "--passphrase-file", "POLYGENT_ISSUER_PASSPHRASE_FILE"):
        assert option in str(raised.value.hint)


FINGERPRINT = "SHA256:" + "aB+/" * 10 + "xyz"


def test_a_key_stays_in_its_place_by_the_scheme() -> None:
    """The schemes of tokens and services, in lower case, even of an invalid URI."""
    for uri in ("pkcs11:", "agent:", "agent:a?b", "vault:"):
        assert store_uri.stays(uri)
    for uri in ("PKCS11:token=t", "./pkcs11:token=t", "agent", "keyring:", "file:/agent:"):
        assert not store_uri.stays(uri)
    assert set(REMOTE) == store_uri.SERVICES


@pytest.mark.parametrize(
    ("uri", "key", "socket", "spelling"),
    [
        ("agent:", "", None, "agent:"),
        (f"agent:{FINGERPRINT}", FINGERPRINT, None, f"agent:{FINGERPRINT}"),
        ("agent:ada@host", "ada@host", None, "agent:ada@host"),
        ("agent:my%20key%3f", "my key?", None, "agent:my%20key%3F"),
        ("agent:schlüssel", "schlüssel", None, "agent:schl%C3%BCssel"),
        ("agent:?socket=/run/a", "", "/run/a", "agent:?socket=/run/a"),
        ("agent:k?socket=/a%20b", "k", "/a b", "agent:k?socket=/a%20b"),
    ],
)
def test_a_key_of_an_agent_has_one_spelling(
    uri: str, key: str, socket: str | None, spelling: str
) -> None:
    """A fingerprint or a comment, and perhaps the agent's socket."""
    place = store_uri.parse(uri)
    assert isinstance(place, RemoteUri)
    assert (place.key, place.option("socket"), place.uri) == (key, socket, spelling)
    assert store_uri.parse(place.uri) == place


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("agent:a b", "must be percent-encoded"),
        ("agent:50%", "must be percent-encoded"),
        ("agent:%00", "not printable"),
        ("agent:%ff", "not printable"),
        ("agent:%E2%80%AEa", "not printable"),
        ("agent:?", "an attribute is empty"),
        ("agent:?socket=", "empty"),
        ("agent:?socket=run/a", "not absolute"),
        ("agent:?socket=/a&socket=/b", "given twice"),
        ("agent:?path=/a", "unknown attribute path; allowed: socket"),
        ("agent:SHA256:abc", "43 characters"),
        (f"agent:{FINGERPRINT}=", "43 characters"),
    ],
)
def test_an_invalid_uri_of_an_agent_is_refused(uri: str, problem: str) -> None:
    """The message names the problem, and is safe to print."""
    with pytest.raises(InvalidStore, match=problem) as raised:
        store_uri.parse(uri)
    assert raised.value.message.startswith("invalid agent: URI: ")
    assert raised.value.message.isprintable()
    assert raised.value.hint
    assert "slash" not in str(raised.value.hint)  # a socket has slashes


@pytest.mark.parametrize(
    ("uri", "spelling"),
    [
        ("vault:transit/main", "vault:transit/main"),
        ("vault:team%2Ftransit/main", "vault:team/transit/main"),
        (
            "vault:transit/main?version=2&address=https://vault.example:8200",
            "vault:transit/main?address=https://vault.example:8200&version=2",
        ),
        ("vault:t/k?address=http://127.0.0.1:8200", "vault:t/k?address=http://127.0.0.1:8200"),
        ("vault:t/k?address=http://[::1]", "vault:t/k?address=http://%5B::1%5D"),
        ("vault:t/k?address=https://x/vault&namespace=a/b", None),
        ("vault:t/k?ca-file=/a&token-file=/run/a%20b", None),
        ("vault:t/k?token-command=/bin/x%20--a%20'b%20c'", None),
    ],
)
def test_a_key_of_a_vault_has_one_spelling(uri: str, spelling: str | None) -> None:
    """A mount and a key, and options in order."""
    place = store_uri.parse(uri)
    assert isinstance(place, RemoteUri)
    assert store_uri.parse(place.uri) == place
    assert spelling in (None, place.uri)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("vault:", "a mount and a key"),
        ("vault:main", "a mount and a key"),
        ("vault:/main", "a mount and a key"),
        ("vault:transit/", "a mount and a key"),
        ("vault:transit//main", "a mount and a key"),
        ("vault:../main", "a mount and a key"),
        ("vault:transit/..", "a mount and a key"),
        ("vault:transit/main%3Fx", "a mount and a key"),
        ("vault:t/k?version=0", "not a number"),
        ("vault:t/k?version=latest", "not a number"),
        ("vault:t/k?version=01", "not a number"),
        ("vault:t/k?token=hvs.4711", "unknown attribute token; allowed: address"),
        ("vault:t/k?token-file=token", "token-file is not absolute"),
        ("vault:t/k?ca-file=ca.pem", "ca-file is not absolute"),
        ("vault:t/k?token-command=cat%20/x", "absolute path of a program"),
        ("vault:t/k?token-command=/x%20'", "absolute path of a program"),
        ("vault:t/k?token-command=%20", "absolute path of a program"),
        ("vault:t/k?token-file=/a&token-command=/b", "mutually exclusive"),
        ("vault:t/k?address=http://vault.example", "without TLS"),
        ("vault:t/k?address=http://127.0.0.1.example", "without TLS"),
        ("vault:t/k?address=http://localhost.example", "without TLS"),
        ("vault:t/k?address=http://0.0.0.0", "without TLS"),
        ("vault:t/k?address=http://[:::]", "without TLS"),
        ("vault:t/k?address=vault.example:8200", "not a URL"),
        ("vault:t/k?address=ftp://vault.example", "not a URL"),
        ("vault:t/k?address=https://HOST", "not a URL"),
        ("vault:t/k?address=https://host/", "not a URL"),
        ("vault:t/k?address=https://host%3Fa", "not a URL"),
        ("vault:t/k?address=https://me:4711@host", "not a URL"),
    ],
)
def test_an_invalid_uri_of_a_vault_is_refused(uri: str, problem: str) -> None:
    """The message names the problem, and contains no secret."""
    with pytest.raises(InvalidStore, match=problem) as raised:
        store_uri.parse(uri)
    assert raised.value.message.startswith("invalid vault: URI: ")
    assert "4711" not in raised.value.message + str(raised.value.hint)


def test_only_the_address_of_this_machine_is_a_loopback() -> None:
    """By its address or as localhost; no other name is looked up."""
    for host in ("127.0.0.1:8200", "127.9.9.9", "[::1]:1", "localhost"):
        assert is_loopback(f"http://{host}")
    for host in ("10.0.0.1", "[::2]", "vault.example", "127.1"):
        assert not is_loopback(f"http://{host}")
