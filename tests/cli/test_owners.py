"""Files that another user can change are refused with exit 7 and the command that fixes it."""

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.cli import Desk, Outcome
from support.doctor_rows import row, rows
from support.softhsm import MODULE
from support.users import ADA, GRACE, give, require_root, run_as

from polygent_issuer.delivery.template import DEFAULT

pytestmark = pytest.mark.slow  # real processes, several for each test

PARTS: dict[str, Callable[[Desk], Path]] = {
    "home": lambda desk: desk.home,
    "registry": lambda desk: desk.home / "registry.db",
    "registry's file": lambda desk: desk.home / "registry.db-journal",
    "settings file": lambda desk: desk.home / "settings.toml",
    "mail template": lambda desk: desk.home / "mail.txt",
    "key file": lambda desk: desk.folder / "main.key",
}
"""The files that decide what is signed, by their names in messages."""
ROW = {"home": "home-rights", "key file": "key-files"}

PASSWD = "root:x:0:0::/root:/bin/sh\nada:x:{ada}:{ada}::/:/bin/sh\ngrace:x:{grace}:{grace}::/:\n"
GROUP = "root:x:0:\nada:x:{ada}:{members}\n"


@pytest.fixture
def whole(desk: Desk) -> Desk:
    """Return a desk that has every part."""
    require_root()
    (desk.home / "mail.txt").write_text(DEFAULT)
    (desk.home / "registry.db-journal").touch()
    return desk


@pytest.fixture
def open_desk(made_desk: Desk) -> Iterator[Desk]:
    """Copy the desk to a folder that every user can reach, unlike pytest's."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield made_desk.copy_to(Path(name) / "desk")


def sign(desk: Desk) -> Outcome:
    """Sign a license with a mail draft, which needs every part."""
    document = desk.machine_info()
    folder = str(desk.output)
    return desk.run("sign", "--machine-info", document, "--term", "60d", "--eml", folder, "--json")


def fix(hint: str) -> None:
    """Run the first command of a hint."""
    subprocess.run(shlex.split(hint.partition(", then ")[0]), check=True)


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["every user", "another user"])
def test_nothing_is_signed_with_a_file_that_another_user_can_change(
    whole: Desk, part: str, how: str
) -> None:
    """`doctor` reports the same problem, and the command of the hint fixes it."""
    path = PARTS[part](whole)
    if how == "every user":
        path.chmod(path.stat().st_mode | 0o002)
        message = f"every user may write to the {part} {path}"
    else:
        shutil.chown(path, ADA)
        message = f"the {part} {path} belongs to another user (uid {ADA}, not 0)"
    outcome = sign(whole)
    error = outcome.json["error"]
    assert (outcome.code, error["code"]) == (7, "unsafe_home" if part == "home" else "unsafe_file")
    assert error["message"] == message
    assert list(whole.output.iterdir()) == []
    check = row(whole.run("doctor", "--json", "--quick"), ROW.get(part, "home-files"))
    assert check["state"] == "fail"
    assert (check["message"], check["mend"].partition(", then ")[0]) == (
        message,
        error["hint"].partition(", then ")[0],
    )
    fix(error["hint"])
    assert sign(whole).code == 0


@pytest.mark.sqlite("about the file")
def test_commands_that_only_read_refuse_too(whole: Desk) -> None:
    """Reading commands refuse such a file, too; commands without a home work."""
    (whole.home / "registry.db").chmod(0o666)
    for argv in (["customer", "list"], ["expiring"], ["journal", "verify"], ["config", "path"]):
        assert whole.run(*argv).code == (0 if argv[0] == "config" else 7)
    assert whole.run("machine-info", "create").code == 0


@pytest.mark.sqlite("about the file")
def test_doctor_names_every_file_at_once(whole: Desk) -> None:
    """`doctor` has a row for each file, and the exit code of the commands."""
    for part, path_of in PARTS.items():
        if part not in ("home", "settings file"):  # the settings name the key file
            path_of(whole).chmod(0o666)
    outcome = whole.run("doctor", "--json", "--quick")
    assert outcome.code == 7
    assert [each["state"] for each in rows(outcome, "home-files")] == ["fail", "fail"]
    assert row(outcome, "key-files")["state"] == "fail"
    assert "unsafe" not in outcome.text
    key = row(outcome, "key")
    assert key["state"] == "not_checked"
    PARTS["registry"](whole).chmod(0o600)
    PARTS["registry's file"](whole).chmod(0o600)
    outcome = whole.run("doctor", "--json", "--quick")
    assert "may write to the key file" in row(outcome, "key")["message"]
    assert outcome.code == 7


def test_doctor_checks_the_files_of_a_writable_home(whole: Desk) -> None:
    """A home that others can write to is not read, but the rights of its files are checked."""
    whole.home.chmod(0o777)
    (whole.home / "settings.toml").chmod(0o666)
    outcome = whole.run("doctor", "--json", "--quick")
    assert row(outcome, "home-rights")["state"] == "fail"
    assert "may write to the settings file" in row(outcome, "home-files")["message"]
    assert row(outcome, "settings")["state"] == "not_checked"


def test_a_module_of_another_user_is_not_loaded(whole: Desk, tmp_path: Path) -> None:
    """A PKCS#11 module of another user is not loaded as root; `doctor` has the same exit code."""
    module = tmp_path / "lib" / "module.so"
    module.parent.mkdir()
    shutil.copy(MODULE, module)
    give(module.parent, user=ADA)
    (kid,) = (each["kid"] for each in whole.ok("key", "list", "--json").json["keys"])
    whole.ok("config", "set", f"stores.{kid}", f"pkcs11:token=x?module-path={module}")
    for owner, what in ((ADA, "module's folder"), (0, "module")):
        module.parent.chmod(0o755)
        shutil.chown(module.parent, owner)
        error = sign(whole).json["error"]
        assert error["code"] == "unsafe_file"
        assert error["message"].startswith(f"the PKCS#11 {what} {tmp_path}/lib")
        outcome = whole.run("doctor", "--json", "--quick")
        assert outcome.code == 7
        assert error["message"] in row(outcome, "key")["message"]
    fix(error["hint"])
    assert sign(whole).json["error"]["code"] == "token_absent"


@pytest.mark.sqlite("about the file")
def test_the_folder_of_a_linked_registry_is_checked(whole: Desk, tmp_path: Path) -> None:
    """SQLite writes its journal to the link's target folder, so its rights count."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (whole.home / "registry.db").rename(elsewhere / "registry.db")
    (whole.home / "registry.db").symlink_to(elsewhere / "registry.db")
    whole.ok("customer", "list")
    elsewhere.chmod(0o777)
    outcome = whole.run("customer", "list")
    assert outcome.code == 7
    assert f"every user may write to the registry's folder {elsewhere}\n" in outcome.err


def test_an_empty_registry_of_another_user_is_not_used(empty_desk: Desk) -> None:
    """`init` completes an interrupted creation only in a file of the same user."""
    empty_desk.home.mkdir(mode=0o700)
    (empty_desk.home / "registry.db").touch()
    give(empty_desk.home / "registry.db", user=ADA)
    outcome = empty_desk.run("init", "--json")
    assert outcome.json["error"]["code"] == "unsafe_file"


def test_root_does_not_use_the_home_of_a_user(open_desk: Desk) -> None:
    """`sudo polygent-issue` would depend on files that the user can change."""
    give(open_desk.folder, user=ADA)
    outcome = open_desk.run("customer", "list", "--json")
    assert outcome.json["error"]["code"] == "unsafe_home"
    assert "run this as that user" in outcome.json["error"]["hint"]
    done = run_as(ADA, "--home", str(open_desk.home), "customer", "list")
    assert done.returncode == 0, done.stderr
    done = run_as(GRACE, "--home", str(open_desk.home), "customer", "list")
    assert done.returncode == 7
    assert f"hint: sudo chown {GRACE} {open_desk.home}, then " in done.stderr


@pytest.mark.parametrize("members", ["", "ada", "grace", "grace,root"])
def test_the_private_group_of_a_user_may_write(
    open_desk: Desk, tmp_path: Path, members: str
) -> None:
    """A group with only the user may write, as with umask 002; another must be trusted by name."""
    give(open_desk.folder, user=ADA)
    for path in (open_desk.home, *open_desk.home.iterdir(), open_desk.folder / "main.key"):
        path.chmod(path.stat().st_mode | 0o070)
    accounts = {}
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        accounts[f"/etc/{name}"] = str(tmp_path / name)
        (tmp_path / name).write_text(text.format(ada=ADA, grace=GRACE, members=members))
    command = ("--home", str(open_desk.home), "customer", "list")
    done = run_as(ADA, *command, accounts=accounts)
    assert (done.returncode, "may write" in done.stderr) == (
        (7, True) if "grace" in members else (0, False)
    )
    for name in ("ada", str(ADA)):
        done = run_as(ADA, *command, accounts=accounts, POLYGENT_ISSUER_TRUST_GROUP=name)
        assert done.returncode == 0, done.stderr


def test_a_group_without_a_name_is_trusted_by_number(open_desk: Desk) -> None:
    """The variable accepts the number of a group, as on a container's volume."""
    open_desk.folder.chmod(0o755)
    give(open_desk.home, user=0, group=ADA)
    for path in (open_desk.home, *open_desk.home.iterdir()):
        path.chmod(0o2770 if path.is_dir() else 0o660)
    command = ("--home", str(open_desk.home), "config", "set", "issuer", "Polygent Ltd")
    done = run_as(ADA, *command)
    assert done.returncode == 7
    assert f"export POLYGENT_ISSUER_TRUST_GROUP={ADA}" in done.stderr
    done = run_as(ADA, *command, POLYGENT_ISSUER_TRUST_GROUP=str(ADA))
    assert (done.returncode, done.stderr) == (0, "")
    done = run_as(ADA, *command[:2], "init", POLYGENT_ISSUER_TRUST_GROUP=str(ADA))
    assert "already" in done.stderr
