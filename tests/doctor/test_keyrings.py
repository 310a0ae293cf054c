"""Keyrings, asked without a prompt: a real Secret Service in each of its moods."""

import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.secret_service import SecretService, secret_service

from polygent_issuer.doctor import State, key_checks
from polygent_issuer.doctor.key_checks import is_needed, keyring, keyring_overrides
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import keyring_backends
from polygent_issuer.keys.keyring_backends import KeyStatus
from polygent_issuer.registry import KeyRecord

AMPLE = timedelta(seconds=30)
SHORT = timedelta(milliseconds=200)
KID = "k" * 43
FILE = "file:/keys/main.key"


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A session bus on which no keyring runs."""
    with secret_service(daemon=False) as running:
        running.enter(monkeypatch)
        yield running


def key(kid: str = KID) -> KeyRecord:
    """A key of which only the kid matters."""
    return KeyRecord(
        kid=kid,
        label="main",
        public_pem=b"",
        created_at=None,  # type: ignore[arg-type] # not asked for
        active=True,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )


def test_an_unlocked_keyring_is_ready(service: SecretService) -> None:
    """The first that runs is the one that would keep a key."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message == (
        "Secret Service is ready; KWallet does not run here; any other is refused"
    )
    assert service.is_locked() is False


def test_a_locked_keyring_is_a_warning_and_stays_locked(service: SecretService) -> None:
    """It is not asked to unlock, so nobody is."""
    service.hold_prompts()
    service.lock()
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service is locked; ")
    assert verdict.fix == key_checks.UNLOCK
    assert service.is_locked() is True


def test_a_keyring_that_hangs_is_a_warning(service: SecretService) -> None:
    """It is waited for until the deadline."""
    service.stop()
    try:
        verdict = keyring(needed=True, timeout=SHORT)
    finally:
        service.cont()
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service did not answer within 0.2 s; ")
    assert verdict.fix == "restart the keyring's service"


def test_no_keyring_at_all_is_a_warning_where_one_is_needed(bus: SecretService) -> None:
    """With the way out that needs no keyring."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service does not run here; KWallet does not run")
    assert verdict.fix is not None
    assert "polygent-issue config set store file:~/polygent-keys/" in verdict.fix
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_the_first_keyring_that_runs_is_the_one_that_counts(
    bus: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desktop of KDE: that the other one does not run is no warning."""

    class Running(keyring_backends.KWalletKeyring):
        """A KWallet that is open and empty."""

        def probe(self, kid: str) -> KeyStatus:
            assert kid
            return KeyStatus(present=False, locked=False)

    found = (keyring_backends.SecretServiceKeyring(), Running())
    monkeypatch.setattr(keyring_backends, "for_platform", lambda: found)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("Secret Service does not run here; KWallet is ready; ")
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_no_keyring_is_well_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps its keys in files is not nagged."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    verdict = keyring(needed=False, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("no key needs one: Secret Service does not run here; ")


def test_a_keyring_that_answers_with_an_error_is_a_warning(
    service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its class of error is the libraries' business; that it failed is said."""
    import secretstorage  # noqa: PLC0415

    def broken(_: object) -> bool:
        raise secretstorage.SecretStorageException

    assert service.is_locked() is False
    monkeypatch.setattr(secretstorage, "check_service_availability", broken)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service answers with an error; ")


def test_an_environment_that_bends_a_backend_is_exit_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to unset; where no key needs a keyring nothing is wrong."""
    monkeypatch.setenv("KEYRING_PROPERTY_PRIORITY", "9")
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.FAIL
    assert verdict.exit_code == 6
    assert verdict.fix == "unset every KEYRING_PROPERTY_* variable"
    assert keyring(needed=False, timeout=AMPLE).state is State.OK


def test_what_would_choose_another_keyring_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables and the configuration file are ignored; their values are not shown."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert (
        keyring_overrides({}).message == "no variable, file or plug-in would choose another keyring"
    )
    config = tmp_path / "python_keyring" / "keyringrc.cfg"
    config.parent.mkdir()
    config.write_text("[backend]\ndefault-keyring=keyring.backends.null.Keyring\n")
    verdict = keyring_overrides(["PYTHON_KEYRING_BACKEND", "KEYRING_PROPERTY_APPID", "PATH"])
    assert verdict.state is State.OK
    assert verdict.message == (
        f"KEYRING_PROPERTY_APPID is ignored; PYTHON_KEYRING_BACKEND is ignored; {config} is ignored"
    )


def test_a_plug_in_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real distribution on the path that offers a backend."""
    info = tmp_path / "keyrings_alt-5.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5.0\n")
    (info / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings.alt.file\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert keyring_backends.third_party_backends() == ("keyrings.alt.file",)
    assert keyring_overrides({}).message.endswith("keyrings.alt.file is refused")


@pytest.mark.parametrize(
    ("settings", "usable", "needed"),
    [
        (Settings(), (), True),
        (Settings(store="file:/keys/"), (), False),
        (Settings(), (key(),), True),
        (Settings(stores={KID: FILE}), (key(),), False),
        (Settings(stores={KID: FILE}), (key(), key("o" * 43)), True),
        (Settings(store="file:/keys/", stores={KID: "keyring:"}), (key(),), True),
        (Settings(store="file:/keys/", stores={"o" * 43: "keyring:"}), (key(),), False),
        (Settings(stores={KID: FILE}), None, True),
        (Settings(store=FILE, stores={KID: FILE}), None, False),
    ],
)
def test_a_keyring_is_needed_for_a_key_in_it(
    settings: Settings,
    usable: tuple[KeyRecord, ...] | None,
    needed: bool,  # noqa: FBT001
) -> None:
    """A key that is there, the next one where there is none, or whatever the settings name."""
    assert is_needed(settings, usable) is needed
