"""The home: its path, its mode, and the refusal of a home that others can change."""

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from support.users import ADA, give, lowered, require_root

from polygent_issuer.errors import ExitCode, HomeMissing, HomeProblem
from polygent_issuer.home import folder as at
from polygent_issuer.home import settings_editing
from polygent_issuer.home.folder import UnsafeHome, create, default_home, locate, require

US = os.geteuid() if hasattr(os, "geteuid") else 0


def mode(path: Path) -> int:
    """Return the permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def folder(tmp_path: Path, bits: int) -> Path:
    """Make a folder with these permission bits."""
    made = tmp_path / "home"
    made.mkdir()
    made.chmod(bits)
    return made


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    """`--home` overrides `POLYGENT_ISSUER_HOME`."""
    environ = {"POLYGENT_ISSUER_HOME": str(tmp_path / "environment")}
    assert locate(tmp_path / "option", environ) == tmp_path / "option"


def test_the_environment_wins_over_the_platform(tmp_path: Path) -> None:
    """`POLYGENT_ISSUER_HOME` overrides the default home."""
    assert locate(None, {"POLYGENT_ISSUER_HOME": str(tmp_path)}) == tmp_path


def test_without_either_it_is_the_platforms_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default home is in the platform's folder for user data."""
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/data")
    if sys.platform == "linux":
        assert default_home() == Path("/somewhere/data/polygent-issuer")
    assert locate(None, {}) == default_home()
    assert default_home().name == "polygent-issuer"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is resolved at once, against the current folder."""
    monkeypatch.chdir(tmp_path)
    assert locate(Path("here"), {}) == tmp_path / "here"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is expanded, also in `POLYGENT_ISSUER_HOME`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(None, {"POLYGENT_ISSUER_HOME": "~/issuer"}) == tmp_path / "issuer"


def test_a_tilde_of_an_unknown_user_is_refused() -> None:
    """`~NAME` of an unknown user is refused, not used as the name of a folder."""
    with pytest.raises(HomeProblem) as caught:
        locate(Path("~no-such-user/x"), {})
    assert caught.value.hint == "give the absolute path"


def test_an_empty_variable_is_refused() -> None:
    """An empty `POLYGENT_ISSUER_HOME` does not mean the current folder."""
    with pytest.raises(HomeProblem, match="POLYGENT_ISSUER_HOME is empty"):
        locate(None, {"POLYGENT_ISSUER_HOME": ""})


def test_the_error_of_a_missing_home_names_init(tmp_path: Path) -> None:
    """A missing home is an error and is not created; the hint names `init`."""
    missing = tmp_path / "typo"
    with pytest.raises(HomeMissing) as caught:
        require(missing)
    assert (caught.value.code, caught.value.exit_code) == ("home_missing", ExitCode.REGISTRY)
    assert caught.value.message == f"the home {missing} does not exist"
    assert caught.value.hint == "polygent-issue init"
    assert not missing.exists()


def test_a_home_below_a_file_is_missing(tmp_path: Path) -> None:
    """A path that continues below a file is a missing home."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeMissing):
        require(tmp_path / "file" / "home")


def test_a_file_is_refused_as_a_home(tmp_path: Path) -> None:
    """A home that is a file is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeProblem, match="is not a folder") as caught:
        require(tmp_path / "file")
    assert caught.value.code == "home_problem"


def test_an_impossible_path_is_a_home_problem() -> None:
    """A name that is too long and a path with a NUL raise `HomeProblem`."""
    with pytest.raises(HomeProblem, match="cannot read"):
        require(Path("/" + "x" * 5000))
    with pytest.raises(HomeProblem, match="cannot read"):
        require(Path("/a\0b"))
    with pytest.raises(HomeProblem, match="cannot create"):
        create(Path("/a\0b/c"))


def test_a_private_home_gives_no_warning(tmp_path: Path) -> None:
    """A home of the user with mode 0700 gives no warning."""
    assert require(folder(tmp_path, 0o700)) == ()


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o710, 0o701, 0o755])
def test_a_readable_home_is_a_warning(tmp_path: Path, bits: int) -> None:
    """A home that other users can read, but not change, gives a warning."""
    made = folder(tmp_path, bits)
    assert require(made) == (f"other users can read the home {made}: chmod 700 {made}",)


def test_a_home_that_a_group_without_other_members_can_write(tmp_path: Path) -> None:
    """A group without other members may write to the home, as under umask 002."""
    require_root()
    assert require(folder(tmp_path, 0o770)) == ()
    (tmp_path / "home").chmod(0o775)
    assert len(require(tmp_path / "home")) == 1


@pytest.mark.parametrize("bits", [0o770, 0o720, 0o775])
def test_a_home_that_a_shared_group_can_write_is_refused(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared group may write only if `POLYGENT_ISSUER_TRUST_GROUP` names it."""
    made = folder(tmp_path, bits)
    give(made, user=US, group=ADA)
    with pytest.raises(UnsafeHome, match=rf"^the group {ADA}, .* may write to the home ") as caught:
        require(made)
    assert str(caught.value.hint).startswith(f"chmod g-w {made}, then look for changes: ")
    monkeypatch.setenv("POLYGENT_ISSUER_TRUST_GROUP", str(ADA))
    assert len(require(made)) == (bits == 0o775)


@pytest.mark.parametrize("bits", [0o777, 0o702, 0o1777])
def test_a_home_that_every_user_can_write_is_refused(tmp_path: Path, bits: int) -> None:
    """A home that every user may write to is `unsafe_home`, also with the sticky bit."""
    made = folder(tmp_path, bits)
    with pytest.raises(UnsafeHome, match=f"^every user may write to the home {made}$") as caught:
        require(made)
    assert (caught.value.code, caught.value.exit_code) == ("unsafe_home", ExitCode.REGISTRY)


def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """A home that another user owns is refused, even if it is private."""
    made = folder(tmp_path, 0o700)
    give(made, user=ADA)
    with pytest.raises(UnsafeHome, match=rf"belongs to another user \(uid {ADA}, not {US}\)"):
        require(made)
    assert require(made, user=ADA) == ()


def test_a_home_of_root_is_used_by_a_user_who_can_read_it(tmp_path: Path) -> None:
    """A home of root works for a user who can read it (a container), and is refused otherwise."""
    made = folder(tmp_path, 0o755)
    give(made, user=0)
    assert len(require(made, user=ADA)) == 1
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        closed = folder(Path(name), 0o700)
        with lowered(ADA), pytest.raises(UnsafeHome, match="belongs to another user") as caught:
            require(closed)
        assert str(caught.value.hint).startswith("run this as its owner")


def test_on_windows_owner_and_mode_are_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `geteuid`, as on Windows, a home of any mode is accepted."""
    made = folder(tmp_path, 0o777)
    monkeypatch.delattr(os, "geteuid")
    assert require(made) == ()


def test_a_new_home_is_private_under_any_umask(tmp_path: Path) -> None:
    """A new home has mode 0700, also if the umask would remove the owner's rights."""
    for mask in (0o000, 0o022, 0o277):
        before = os.umask(mask)
        try:
            made = tmp_path / f"{mask:o}"
            assert create(made) == ()
        finally:
            os.umask(before)
        assert mode(made) == 0o700


def test_parent_folders_are_created(tmp_path: Path) -> None:
    """Missing parent folders are created, and are private."""
    made = tmp_path / "a" / "b" / "home"
    assert create(made) == ()
    assert mode(made) == 0o700
    assert mode(tmp_path / "a" / "b") & 0o077 == 0


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    """An existing folder gives a warning, but its mode is not changed."""
    made = folder(tmp_path, 0o755)
    assert len(create(made)) == 1
    assert mode(made) == 0o755


def test_an_unsafe_folder_does_not_become_a_home(tmp_path: Path) -> None:
    """`create` makes the same checks as `require`."""
    with pytest.raises(UnsafeHome):
        create(folder(tmp_path, 0o777))
    give(tmp_path / "home", user=ADA)
    with pytest.raises(UnsafeHome):
        create(tmp_path / "home")


def test_a_home_cannot_be_created_below_or_over_a_file(tmp_path: Path) -> None:
    """A file at the path of the home, or of a parent folder, is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeProblem, match="is not a folder"):
        create(tmp_path / "file")
    with pytest.raises(HomeProblem):
        create(tmp_path / "file" / "home")


def test_control_characters_of_a_path_are_escaped() -> None:
    """A message about a path contains no raw control character."""
    for ask in (require, lambda p: locate(p, {})):
        with pytest.raises(HomeProblem) as caught:
            ask(Path("~no-such-user\x1b[31m/home"))
        assert "\x1b" not in caught.value.message
        assert "[31m" in caught.value.message


FIRST, SECOND = "5d0c9a2e-8a43-4d40-9c42-3f6a3e0f8f11", "0e3a4c55-0d0b-4ff4-a7d7-1f3d9d0a2b22"


def test_a_home_has_one_id(tmp_path: Path) -> None:
    """A later command, a changed setting and a copy of the folder keep it."""
    assert at.id_of(tmp_path) is None
    assert at.ensure_id(tmp_path, FIRST) == FIRST
    settings_editing.set_value(tmp_path, "issuer", "Polygent Ltd")
    assert at.ensure_id(tmp_path, SECOND) == FIRST
    assert at.id_of(tmp_path) == FIRST
    assert (tmp_path / at.HOME_ID_FILE).stat().st_mode & 0o777 == 0o600


def test_the_id_of_a_command_that_was_faster_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first commands at the same time use one id."""
    at.ensure_id(tmp_path, FIRST)
    answers = iter((None, FIRST))
    monkeypatch.setattr(at, "id_of", lambda _: next(answers))
    assert at.ensure_id(tmp_path, SECOND) == FIRST


@pytest.mark.parametrize("content", [b"", b"an id\n", b"\xff" * 20, b"x" * 200])
def test_a_file_that_contains_no_id_is_refused(tmp_path: Path, content: bytes) -> None:
    """Otherwise the files of this home would be those of another one."""
    path = tmp_path / at.HOME_ID_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(HomeProblem) as refused:
        at.id_of(tmp_path)
    assert "remove the file" in str(refused.value.hint)


def test_an_id_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """Another user could take over the delivery of files."""
    at.ensure_id(tmp_path, FIRST)
    (tmp_path / at.HOME_ID_FILE).chmod(0o666)
    with pytest.raises(HomeProblem):
        at.id_of(tmp_path)
