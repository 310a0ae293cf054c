"""Files that another user can change: by owner, mode, group and the path to them."""

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
from polygent_issuer.files.reading import (
    TRUST_GROUP,
    UnsafeFile,
    exposure_of,
    require_unexposed,
)
from polygent_issuer.files.trusted_code import require_code

NOGROUP = 65534
"""The primary group of the account `nobody`."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A private file of ours, whose name a shell has to be given in quotes."""
    made = tmp_path / "it's ours"
    made.write_text("x")
    made.chmod(0o600)
    return made


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A library of ours in a folder within a folder."""
    made = tmp_path / "opt" / "lib" / "module.so"
    made.parent.mkdir(parents=True)
    made.write_text("x")
    return made


def refusal(path: Path, what: str = "file") -> UnsafeFile:
    """The refusal of a file."""
    with pytest.raises(UnsafeFile) as caught:
        require_unexposed(path, what)
    return caught.value


def code_refusal(path: Path) -> UnsafeFile:
    """The refusal of a module."""
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
    """Reading is not writing; a group without other members may write, as under umask 002."""
    require_root()
    path.chmod(bits)
    require_unexposed(path, "file")


@pytest.mark.parametrize("bits", [0o666, 0o602, 0o646, 0o1777])
def test_a_file_that_every_user_may_write_is_refused(path: Path, bits: int) -> None:
    """Exit 7, and the command of the hint is all that it takes."""
    path.chmod(bits)
    problem = refusal(path, "settings file")
    assert (problem.code, problem.exit_code) == ("unsafe_file", ExitCode.REGISTRY)
    assert problem.message == f"every user may write to the settings file {path}"
    assert problem.hint == f"chmod o-w {shlex.quote(str(path))}, then check what is in it"
    fix(problem)
    require_unexposed(path, "settings file")


def test_a_file_that_another_user_owns_is_refused(path: Path) -> None:
    """As root, too: that user can change it at any time."""
    give(path, user=ADA)
    problem = refusal(path)
    assert problem.message == f"the file {path} belongs to another user (uid {ADA}, not 0)"
    assert str(problem.hint).endswith("; or run this as that user")
    fix(problem)
    require_unexposed(path, "file")


def test_a_file_of_root_passes_for_every_user(path: Path) -> None:
    """Root can change everything anyway; what only root can fix says so."""
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
    """A member by its account alone counts as one that the group lists."""
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
    """The group has no entry; or this user has none, so that the list cannot be whole."""
    give(path, user=0, group=ADA)
    path.chmod(0o660)
    assert f"the group {ADA}, whose members cannot be listed, may write" in refusal(path).message
    give(path, user=ADA, group=0)
    exposure = exposure_of(path, "file", path.stat(), user=ADA)
    assert exposure is not None
    assert "whose members cannot be listed" in exposure.message


@pytest.mark.parametrize("name", ["nogroup", str(NOGROUP)])
def test_a_trusted_group_may_write(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name or its number; every user still may not."""
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
    """It trusts nothing; a group that does not exist is named."""
    give(path, user=0, group=NOGROUP)
    path.chmod(0o660)
    monkeypatch.setenv(TRUST_GROUP, name)
    hint = str(refusal(path).hint)
    assert ("does not exist" in hint) is (name not in ("root", ""))
    assert hint.isprintable()


def test_an_access_list_counts_as_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets a named user write, and the group bits only show its limit."""
    give(path, user=0)
    entries = [(1, 6, -1), (2, 6, ADA), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    monkeypatch.setenv(TRUST_GROUP, "0")
    problem = refusal(path)
    assert problem.message.startswith("a user or group in its access list may write to the file ")
    fix(problem)
    require_unexposed(path, "file")


def test_the_open_file_is_judged(path: Path, tmp_path: Path) -> None:
    """Another file that gets the name after the opening changes nothing."""
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
    """This test takes away the call that Windows lacks."""
    for each in (path, module):
        each.chmod(0o666)
    monkeypatch.delattr(os, "geteuid")
    require_unexposed(path, "file")
    require_code(module, "PKCS#11 module")


def test_no_access_lists_on_other_systems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, as on macOS, there is no call for them; this test takes it away."""
    require_root()
    path.chmod(0o660)
    monkeypatch.delattr(os, "getxattr")
    require_unexposed(path, "file")


def test_a_module_of_ours_passes(module: Path) -> None:
    """With every folder up to the root."""
    require_code(module, "PKCS#11 module")


def test_no_group_may_write_to_a_module(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a group without other members, or a trusted one: the module gets the PIN."""
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


def test_every_folder_above_a_module_counts(module: Path) -> None:
    """Whoever may rename one of them chooses the module."""
    for folder in (module.parent, module.parent.parent):
        folder.chmod(0o777)
        problem = code_refusal(module)
        assert f"module's folder {folder}" in problem.message
        fix(problem)
        give(folder, user=ADA)
        assert f"belongs to another user (uid {ADA}" in code_refusal(module).message
        give(folder, user=0)
    require_code(module, "PKCS#11 module")


def test_a_sticky_folder_is_fine_but_for_what_others_have_put_there(module: Path) -> None:
    """As `/tmp`: others can add to it, and replace only what is theirs."""
    module.parent.chmod(0o1777)
    require_code(module, "PKCS#11 module")
    give(module, user=ADA)
    problem = code_refusal(module)
    assert problem.message.startswith(f"the PKCS#11 module {module} belongs to another user")
    fix(problem)
    require_code(module, "PKCS#11 module")


def test_links_and_the_folders_of_what_they_name_count(module: Path, tmp_path: Path) -> None:
    """Absolute ones and relative ones, of the module and of its folders."""
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


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """A loop of links is an error with the reason of the system."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        require_code(tmp_path / "a", "PKCS#11 module")


def test_reading_by_others_is_seen(path: Path) -> None:
    """A group that may write was trusted before, so it may read."""
    for bits, is_open in ((0o700, False), (0o750, True), (0o770, False), (0o704, True)):
        path.chmod(bits)
        assert reading.is_open_to_others(path.stat()) is is_open
