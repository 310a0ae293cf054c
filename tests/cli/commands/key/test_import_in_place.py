"""`polygent-issue key import file:PATH`: a key file that stays in place."""

from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.keys import kid_of

CONTAINER = {"DBUS_SESSION_BUS_ADDRESS": ""}


@pytest.fixture
def mounted(empty_desk: Desk, tmp_path: Path) -> Desk:
    """Create a container: key and passphrase are mounted read-only (0444), no keyring, no home."""
    made = Desk(tmp_path / "elsewhere")
    made.folder.mkdir()
    made.set_up()
    secrets = empty_desk.folder / "secrets"
    secrets.mkdir()
    (made.folder / "main.key").rename(secrets / "main.key")
    empty_desk.passphrase_file.write_text(PASSPHRASE + "\n")
    for path in (secrets / "main.key", empty_desk.passphrase_file):
        path.chmod(0o444)
    secrets.chmod(0o555)
    empty_desk.output.mkdir()
    empty_desk.environ.update(CONTAINER)
    return empty_desk


def place(desk: Desk) -> str:
    """Return the mounted key as a store URI."""
    return f"file:{desk.folder}/secrets/main.key"


def test_a_mounted_key_signs_in_place(mounted: Desk) -> None:
    """Nothing is copied, its mode is warned of, and licenses are signed."""
    before = tree(mounted.folder / "secrets")
    outcome = mounted.ok("key", "import", place(mounted), "--label", "main")
    assert outcome.text.startswith("registered the key main\n")
    assert "other users can read the key file" in outcome.err
    assert f"  {place(mounted)}\n" in outcome.text
    sign = ("sign", "--machine-info", mounted.machine_info(), "--output", str(mounted.output))
    (issued,) = mounted.ok(*sign, "--json").json["licenses"]
    assert issued["kid"] == kid_of(mounted.folder / "secrets" / "main.key")
    assert tree(mounted.folder / "secrets") == before
    assert [path.name for path in mounted.folder.rglob("*.key")] == ["main.key"]


def test_a_known_key_gets_a_new_store(mounted: Desk) -> None:
    """A moved key is registered again and keeps its label."""
    mounted.ok("key", "import", place(mounted), "--label", "main")
    mounted.ok("config", "set", f"stores.{kid_of(mounted.folder / 'secrets/main.key')}", "keyring:")
    outcome = mounted.ok("key", "import", place(mounted), "--json").json
    assert (outcome["new"], outcome["key"]["label"]) == (False, "main")
    assert outcome["key"]["store"] == place(mounted)


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("--store", "keyring:"), 2, "--store cannot be combined with the URI of a key"),
        (("--backup", "b.key"), 2, "--backup cannot be combined with the URI of a key"),
        (("--label", "x\x1b"), 3, "invalid label"),
    ],
)
def test_wrong_options_register_nothing(
    mounted: Desk, argv: tuple[str, ...], code: int, message: str
) -> None:
    """Options for a copy are refused."""
    outcome = mounted.run("key", "import", place(mounted), *argv)
    assert outcome.code == code
    assert message in outcome.err
    assert "\x1b" not in outcome.err


def test_another_file_than_a_key_is_refused(mounted: Desk) -> None:
    """A folder, a missing file and a plaintext key each have a hint."""
    folder = mounted.run("key", "import", f"file:{mounted.folder}/secrets")
    assert (folder.code, "is a folder, but the path of one key file is needed" in folder.err) == (
        3,
        True,
    )
    absent = mounted.run("key", "import", f"file:{mounted.folder}/absent.key")
    assert (absent.code, "does not exist" in absent.err) == (6, True)
    example = Path(__file__).parents[4] / "keys.example" / "private.pem"
    assert mounted.run("key", "import", f"file:{example}").code == 6
    mounted.passphrase_file.chmod(0o600)
    mounted.passphrase_file.write_text("wrong")
    wrong = mounted.run("key", "import", place(mounted))
    assert (wrong.code, "wrong passphrase" in wrong.err) == (6, True)
    listed = mounted.run("key", "list")
    assert "main" not in listed.text
