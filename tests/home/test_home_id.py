"""The id of a home: made once, kept with the folder, and refused if it is anything else."""

from pathlib import Path

import pytest

from polygent_issuer.errors import HomeProblem
from polygent_issuer.home import home_id, settings_editing

FIRST, SECOND = "5d0c9a2e-8a43-4d40-9c42-3f6a3e0f8f11", "0e3a4c55-0d0b-4ff4-a7d7-1f3d9d0a2b22"


def test_a_home_has_one_id(tmp_path: Path) -> None:
    """A later command, a changed setting and a copy of the folder keep it."""
    assert home_id.read(tmp_path) is None
    assert home_id.ensure(tmp_path, FIRST) == FIRST
    settings_editing.set_value(tmp_path, "issuer", "Polygent Ltd")
    assert home_id.ensure(tmp_path, SECOND) == FIRST
    assert home_id.read(tmp_path) == FIRST
    assert (tmp_path / home_id.HOME_ID_FILE).stat().st_mode & 0o777 == 0o600


def test_the_id_of_a_command_that_was_faster_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first commands at the same time use one id."""
    home_id.ensure(tmp_path, FIRST)
    answers = iter((None, FIRST))
    monkeypatch.setattr(home_id, "read", lambda _: next(answers))
    assert home_id.ensure(tmp_path, SECOND) == FIRST


@pytest.mark.parametrize("content", [b"", b"an id\n", b"\xff" * 20, b"x" * 200])
def test_a_file_that_contains_no_id_is_refused(tmp_path: Path, content: bytes) -> None:
    """Otherwise the files of this home would be those of another one."""
    path = tmp_path / home_id.HOME_ID_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(HomeProblem) as refused:
        home_id.read(tmp_path)
    assert "remove the file" in str(refused.value.hint)


def test_an_id_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """Another user could take over the delivery of files."""
    home_id.ensure(tmp_path, FIRST)
    (tmp_path / home_id.HOME_ID_FILE).chmod(0o666)
    with pytest.raises(HomeProblem):
        home_id.read(tmp_path)
