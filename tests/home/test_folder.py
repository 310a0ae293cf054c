"""The home: found where it was said, made private, refused when others can change it."""

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from support.users import ADA, give, lowered, require_root

from polygent_issuer.errors import ExitCode, HomeMissing, HomeProblem
from polygent_issuer.home.folder import UnsafeHome, create, default_home, locate, require

US = os.geteuid() if hasattr(os, "geteuid") else 0


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def folder(tmp_path: Path, bits: int) -> Path:
    """A folder of ours with these permission bits."""
    made = tmp_path / "home"
    made.mkdir()
    made.chmod(bits)
    return made


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    """What was typed counts more than what was exported."""
    environ = {"POLYGENT_ISSUER_HOME": str(tmp_path / "environment")}
    assert locate(tmp_path / "option", environ) == tmp_path / "option"


def test_the_environment_wins_over_the_platform(tmp_path: Path) -> None:
    """`POLYGENT_ISSUER_HOME` moves the home."""
    assert locate(None, {"POLYGENT_ISSUER_HOME": str(tmp_path)}) == tmp_path


def test_without_either_it_is_the_platforms_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default follows the platform's rule for a user's data."""
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/data")
    if sys.platform == "linux":
        assert default_home() == Path("/somewhere/data/polygent-issuer")
    assert locate(None, {}) == default_home()
    assert default_home().name == "polygent-issuer"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place does not move when the command changes its folder."""
    monkeypatch.chdir(tmp_path)
    assert locate(Path("here"), {}) == tmp_path / "here"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` means the same as in a shell, also from an environment file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(None, {"POLYGENT_ISSUER_HOME": "~/issuer"}) == tmp_path / "issuer"


def test_a_tilde_of_nobody_is_refused() -> None:
    """A user that does not exist has no folder, and no folder is called `~nobody-at-all`."""
    with pytest.raises(HomeProblem) as caught:
        locate(Path("~nobody-at-all/x"), {})
    assert caught.value.hint == "name the whole path"


def test_an_empty_variable_is_refused() -> None:
    """An empty text would make the current folder the home."""
    with pytest.raises(HomeProblem, match="POLYGENT_ISSUER_HOME is empty"):
        locate(None, {"POLYGENT_ISSUER_HOME": ""})


def test_a_missing_home_leads_to_init(tmp_path: Path) -> None:
    """A mistyped `--home` is an error, never a new registry."""
    missing = tmp_path / "typo"
    with pytest.raises(HomeMissing) as caught:
        require(missing)
    assert (caught.value.code, caught.value.exit_code) == ("home_missing", ExitCode.REGISTRY)
    assert caught.value.message == f"there is no home at {missing}"
    assert caught.value.hint == "polygent-issue init"
    assert not missing.exists()


def test_below_a_file_there_is_no_home(tmp_path: Path) -> None:
    """A file in the middle of the path means that the home is missing."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeMissing):
        require(tmp_path / "file" / "home")


def test_a_file_is_no_home(tmp_path: Path) -> None:
    """The home is a folder."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeProblem, match="is not a folder") as caught:
        require(tmp_path / "file")
    assert caught.value.code == "home_problem"


def test_a_path_that_no_system_has_is_our_error() -> None:
    """Neither a name that is too long nor a NUL raises anything foreign."""
    with pytest.raises(HomeProblem, match="cannot be read"):
        require(Path("/" + "x" * 5000))
    with pytest.raises(HomeProblem, match="cannot be read"):
        require(Path("/a\0b"))
    with pytest.raises(HomeProblem, match="cannot be made"):
        create(Path("/a\0b/c"))


def test_a_private_home_of_ours_passes_without_a_word(tmp_path: Path) -> None:
    """0700 and ours: nothing to say."""
    assert require(folder(tmp_path, 0o700)) == ()


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o710, 0o701, 0o755])
def test_a_readable_home_is_a_warning(tmp_path: Path, bits: int) -> None:
    """Others can see customers and terms, but change nothing."""
    made = folder(tmp_path, bits)
    assert require(made) == (f"other users may look into the home {made}: chmod 700 {made}",)


def test_a_home_that_a_group_without_other_members_can_write(tmp_path: Path) -> None:
    """A group without other members may write, as under umask 002; others may not even read."""
    require_root()
    assert require(folder(tmp_path, 0o770)) == ()
    (tmp_path / "home").chmod(0o775)
    assert len(require(tmp_path / "home")) == 1


@pytest.mark.parametrize("bits", [0o770, 0o720, 0o775])
def test_a_home_that_a_shared_group_can_write_is_refused(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the environment names that group, as for the volume of a container."""
    made = folder(tmp_path, bits)
    give(made, user=US, group=ADA)
    with pytest.raises(UnsafeHome, match=rf"^the group {ADA}, .* may write to the home ") as caught:
        require(made)
    assert str(caught.value.hint).startswith(f"chmod g-w {made}, then look for changes: ")
    monkeypatch.setenv("POLYGENT_ISSUER_TRUST_GROUP", str(ADA))
    assert len(require(made)) == (bits == 0o775)


@pytest.mark.parametrize("bits", [0o777, 0o702, 0o1777])
def test_a_home_that_everybody_can_write_is_refused(tmp_path: Path, bits: int) -> None:
    """Whoever writes there decides what is signed."""
    made = folder(tmp_path, bits)
    with pytest.raises(UnsafeHome, match=f"^every user may write to the home {made}$") as caught:
        require(made)
    assert (caught.value.code, caught.value.exit_code) == ("unsafe_home", ExitCode.REGISTRY)


def test_a_strangers_home_is_refused(tmp_path: Path) -> None:
    """A folder of another user is not ours, however private it is."""
    made = folder(tmp_path, 0o700)
    give(made, user=ADA)
    with pytest.raises(UnsafeHome, match=rf"belongs to another user \(uid {ADA}, not {US}\)"):
        require(made)
    assert require(made, user=ADA) == ()


def test_a_home_of_root_is_used_by_a_user_who_can_read_it(tmp_path: Path) -> None:
    """The volume of a container is root's; the home of `sudo polygent-issue init` is closed."""
    made = folder(tmp_path, 0o755)
    give(made, user=0)
    assert len(require(made, user=ADA)) == 1
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        closed = folder(Path(name), 0o700)
        with lowered(ADA), pytest.raises(UnsafeHome, match="belongs to another user") as caught:
            require(closed)
        assert str(caught.value.hint).startswith("run this as its owner")


def test_on_windows_owner_and_mode_are_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has neither; this test takes away the call that Windows lacks."""
    made = folder(tmp_path, 0o777)
    monkeypatch.delattr(os, "geteuid")
    assert require(made) == ()


def test_a_new_home_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """0700 also where the umask would take the owner's own rights away."""
    for mask in (0o000, 0o022, 0o277):
        before = os.umask(mask)
        try:
            made = tmp_path / f"{mask:o}"
            assert create(made) == ()
        finally:
            os.umask(before)
        assert mode(made) == 0o700


def test_the_folders_above_are_made_too(tmp_path: Path) -> None:
    """A first `init` needs no `mkdir`, and shows nobody what it made."""
    made = tmp_path / "a" / "b" / "home"
    assert create(made) == ()
    assert mode(made) == 0o700
    assert mode(tmp_path / "a" / "b") & 0o077 == 0


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    """`init --home DIR` on a folder of one's own warns, but changes no rights unasked."""
    made = folder(tmp_path, 0o755)
    assert len(create(made)) == 1
    assert mode(made) == 0o755


def test_an_unsafe_folder_does_not_become_a_home(tmp_path: Path) -> None:
    """The check of `require` holds from the first minute."""
    with pytest.raises(UnsafeHome):
        create(folder(tmp_path, 0o777))
    give(tmp_path / "home", user=ADA)
    with pytest.raises(UnsafeHome):
        create(tmp_path / "home")


def test_a_home_cannot_be_made_below_or_over_a_file(tmp_path: Path) -> None:
    """What stands in the way is said."""
    (tmp_path / "file").touch()
    with pytest.raises(HomeProblem, match="is not a folder"):
        create(tmp_path / "file")
    with pytest.raises(HomeProblem):
        create(tmp_path / "file" / "home")


def test_a_steering_path_is_escaped_in_messages() -> None:
    """A path with an escape sequence cannot reach the terminal raw."""
    for ask in (require, lambda p: locate(p, {})):
        with pytest.raises(HomeProblem) as caught:
            ask(Path("~nobody-at-all\x1b[31m/home"))
        assert "\x1b" not in caught.value.message
        assert "[31m" in caught.value.message
