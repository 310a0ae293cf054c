"""Files that another user can change: owner, mode, group and path."""

import os
import re
import shlex
import struct
import subprocess
from pathlib import Path

import pytest
from support.users import ADA, GRACE, give, require_root

from polygent_issuer.errors import ExitCode
from polygent_issuer.files import reading
from polygent_issuer.files.reading import TRUST_GROUP, UnsafeFile, exposure_of, require_unexposed
from polygent_issuer.files.within import require_code

NOGROUP = 65534
"""The primary group of the account `nobody`."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A private file of this user, whose name needs quotes in a shell."""
    made = tmp_path / "it's ours"
    made.write_text("x")
    made.chmod(0o600)
    return made


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A library of this user in a folder within a folder."""
    made = tmp_path / "opt" / "lib" / "module.so"
    made.parent.mkdir(parents=True)
    made.write_text("x")
    return made


def refusal(path: Path, what: str = "file") -> UnsafeFile:
    """Return the error for a file."""
    with pytest.raises(UnsafeFile) as caught:
        require_unexposed(path, what)
    return caught.value


def code_refusal(path: Path) -> UnsafeFile:
    """Return the error for a module."""
    with pytest.raises(UnsafeFile) as caught:
        require_code(path, "PKCS#11 module")
    return caught.value


def fix(problem: UnsafeFile) -> None:
    """Run the command that the hint begins with."""
    command, then, _ = str(problem.hint).partition(", then ")
    assert then
    subprocess.run(shlex.split(command), check=True)


@pytest.mark.parametrize("bits", [0o600, 0o400, 0o644, 0o755, 0o664, 0o660])
def test_a_file_that_only_its_owner_can_change_passes(path: Path, bits: int) -> None:
    """Others may read the file; a group without other members may write, as under umask 002."""
    require_root()
    path.chmod(bits)
    require_unexposed(path, "file")


@pytest.mark.parametrize("bits", [0o666, 0o602, 0o646, 0o1777])
def test_a_file_that_every_user_may_write_is_refused(path: Path, bits: int) -> None:
    """The error is `unsafe_file`, and the command of the hint fixes it."""
    path.chmod(bits)
    problem = refusal(path, "settings file")
    assert (problem.code, problem.exit_code) == ("unsafe_file", ExitCode.REGISTRY)
    assert problem.message == f"every user may write to the settings file {path}"
    assert problem.hint == f"chmod o-w {shlex.quote(str(path))}, then check what is in it"
    fix(problem)
    require_unexposed(path, "settings file")


def test_a_file_that_another_user_owns_is_refused(path: Path) -> None:
    """A file of another user is refused, also for root, because its owner can change it."""
    give(path, user=ADA)
    problem = refusal(path)
    assert problem.message == f"the file {path} belongs to another user (uid {ADA}, not 0)"
    assert str(problem.hint).endswith("; or run this as that user")
    fix(problem)
    require_unexposed(path, "file")


def test_a_file_of_root_passes_for_every_user(path: Path) -> None:
    """A file of root is accepted; a fix that only root can run begins with sudo."""
    give(path, user=0)
    assert exposure_of(path, "file", path.stat(), user=ADA) is None
    path.chmod(0o666)
    exposure = exposure_of(path, "file", path.stat(), user=ADA)
    assert exposure is not None
    assert exposure.fix.startswith("sudo chmod go-w ")
    give(path, user=GRACE)
    exposure = exposure_of(path, "file", path.stat(), user=ADA)
    assert exposure is not None
    assert exposure.fix.startswith(f"sudo chown {ADA} ")
    exposure = exposure_of(path, "file", path.stat(), user=GRACE)
    assert exposure is not None
    assert exposure.fix.startswith("chmod go-w ")


def test_a_group_with_other_members_is_refused(path: Path) -> None:
    """A user whose primary group it is counts as a member."""
    give(path, user=0, group=NOGROUP)
    path.chmod(0o660)
    problem = refusal(path)
    members = rf"the group {NOGROUP} \(members: \w+( and \d+ more)?\) may write to the file "
    assert re.match(members, problem.message)
    assert str(problem.hint).endswith(f": export {TRUST_GROUP}={NOGROUP}")
    fix(problem)
    require_unexposed(path, "file")
    path.chmod(0o666)
    assert str(refusal(path).hint).startswith("chmod go-w ")


def test_a_group_whose_members_cannot_be_listed_counts_as_shared(path: Path) -> None:
    """A group without an entry, or a list without this user, counts as shared."""
    give(path, user=0, group=ADA)
    path.chmod(0o660)
    assert f"the group {ADA}, whose members cannot be listed, may write" in refusal(path).message
    give(path, user=ADA, group=0)
    exposure = exposure_of(path, "file", path.stat(), user=ADA)
    assert exposure is not None
    assert "whose members cannot be listed" in exposure.message


@pytest.mark.parametrize("name", ["nogroup", str(NOGROUP)])
def test_a_trusted_group_may_write(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted group, by name or number, may write; every user may not."""
    give(path, user=0, group=NOGROUP)
    path.chmod(0o660)
    monkeypatch.setenv(TRUST_GROUP, name)
    require_unexposed(path, "file")
    path.chmod(0o666)
    assert str(refusal(path).hint).startswith("chmod o-w ")


@pytest.mark.parametrize(
    "name", ["no-such-group", "no\udcffgroup", "\u0661", "9" * 5000, "root", ""]
)
def test_a_variable_that_names_another_group(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another group does not become trusted; an unknown group is named in the hint."""
    give(path, user=0, group=NOGROUP)
    path.chmod(0o660)
    monkeypatch.setenv(TRUST_GROUP, name)
    hint = str(refusal(path).hint)
    assert ("does not exist" in hint) is (name not in ("root", ""))
    assert hint.isprintable()


def test_an_access_list_counts_as_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with an access list is refused, because the list may allow other users to write."""
    give(path, user=0)
    entries = [(1, 6, -1), (2, 6, ADA), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    monkeypatch.setenv(TRUST_GROUP, "0")
    problem = refusal(path)
    assert problem.message.startswith("a user or group in its access list may write to the file ")
    fix(problem)
    require_unexposed(path, "file")


def test_the_open_file_is_checked(path: Path, tmp_path: Path) -> None:
    """The open file is checked, not another file that gets its name later."""
    path.chmod(0o666)
    with path.open() as stream:
        path.unlink()
        path.write_text("a safe one")
        with pytest.raises(UnsafeFile):
            require_unexposed(path, "file", opened=stream.fileno())
    with pytest.raises(FileNotFoundError):
        require_unexposed(tmp_path / "none", "file")


def test_windows_checks_no_owners(
    path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `geteuid`, as on Windows, every file is accepted."""
    for file in (path, module):
        file.chmod(0o666)
    monkeypatch.delattr(os, "geteuid")
    require_unexposed(path, "file")
    require_code(module, "PKCS#11 module")


def test_no_access_lists_on_other_systems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `getxattr`, as on macOS, access lists are not checked."""
    require_root()
    path.chmod(0o660)
    monkeypatch.delattr(os, "getxattr")
    require_unexposed(path, "file")


def test_a_safe_module_is_accepted(module: Path) -> None:
    """A module that only this user can change, in such folders, is accepted."""
    require_code(module, "PKCS#11 module")


def test_no_group_may_write_to_a_module(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No group may write to a module, not even a trusted one, because the module gets the PIN."""
    monkeypatch.setenv(TRUST_GROUP, str(os.getegid()))
    for each, what in ((module, "PKCS#11 module"), (module.parent, "PKCS#11 module's folder")):
        before = each.stat().st_mode & 0o777
        each.chmod(before | 0o020)
        problem = code_refusal(module)
        assert problem.exit_code == ExitCode.REGISTRY
        assert problem.message == f"the group {os.getegid()} may write to the {what} {each}"
        assert problem.hint == f"chmod g-w {each}, then install that software again"
        fix(problem)
        require_code(module, "PKCS#11 module")


def test_every_folder_above_a_module_is_checked(module: Path) -> None:
    """A user who can rename a folder above the module could replace it."""
    for folder in (module.parent, module.parent.parent):
        folder.chmod(0o777)
        problem = code_refusal(module)
        assert f"module's folder {folder}" in problem.message
        fix(problem)
        give(folder, user=ADA)
        assert f"belongs to another user (uid {ADA}" in code_refusal(module).message
        give(folder, user=0)
    require_code(module, "PKCS#11 module")


def test_a_sticky_folder_is_accepted(module: Path) -> None:
    """In a folder like `/tmp` users can only replace their own files, which are refused."""
    module.parent.chmod(0o1777)
    require_code(module, "PKCS#11 module")
    give(module, user=ADA)
    problem = code_refusal(module)
    assert problem.message.startswith(f"the PKCS#11 module {module} belongs to another user")
    fix(problem)
    require_code(module, "PKCS#11 module")


def test_links_and_the_folders_of_their_targets_are_checked(module: Path, tmp_path: Path) -> None:
    """Absolute and relative links, to the module and to its folders, are checked."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lib").symlink_to("../opt/lib")
    link = elsewhere / "link.so"
    link.symlink_to(elsewhere / "lib" / "module.so")
    require_code(link, "PKCS#11 module")
    for folder in (module.parent, elsewhere):
        folder.chmod(0o777)
        assert f"module's folder {folder}" in code_refusal(link).message
        folder.chmod(0o755)
    for each in (elsewhere / "lib", link):
        os.lchown(each, ADA, ADA)
        problem = code_refusal(link)
        assert f"module's link {each} belongs to another user" in problem.message
        assert str(problem.hint).startswith("chown -h 0 ")
        fix(problem)
    require_code(link, "PKCS#11 module")


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    """A loop of links is an error with the system's reason."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        require_code(tmp_path / "a", "PKCS#11 module")


def test_a_file_that_others_can_read(path: Path) -> None:
    """Other users and groups count as readers, except a group that may write."""
    for bits, is_open in ((0o700, False), (0o750, True), (0o770, False), (0o704, True)):
        path.chmod(bits)
        assert reading.is_open_to_others(path.stat()) is is_open
