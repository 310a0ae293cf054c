"""The file that `init` writes: it explains itself, and it means what it says."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home.setting_specs import KEYS
from polygent_issuer.home.settings import Settings, interpret, load, parse, settings_path
from polygent_issuer.home.settings_editing import default_text


def test_it_changes_nothing() -> None:
    """Written down, the defaults are the defaults."""
    assert interpret(parse(default_text())) == Settings()


def test_only_plans_are_set() -> None:
    """Every other key is a comment: a later default of this tool reaches who changed nothing."""
    assert list(tomllib.loads(default_text())) == ["plans"]


def test_every_comment_that_is_a_default_is_right() -> None:
    """Taking the `#` away from a default changes nothing; from an example it sets that key."""
    freed = re.sub(r"^# ([a-z_]+ = )", r"\1", default_text(), flags=re.MULTILINE)
    assert list(parse(freed)) == [*KEYS, "plans"]
    settings, defaults = interpret(parse(freed)), Settings()
    for name in KEYS:
        if getattr(defaults, name) is not None:
            assert getattr(settings, name) == getattr(defaults, name)
        else:
            assert getattr(settings, name) is not None
    assert settings.upload_window == timedelta(days=7)


def test_every_key_has_its_line_of_explanation() -> None:
    """One comment line stands above each key, and says more than its name."""
    lines = default_text().splitlines()
    for name in KEYS:
        place = next(n for n, line in enumerate(lines) if line.startswith(f"# {name} = "))
        assert re.fullmatch(r"# [A-Z].{15,}\.", lines[place - 1]), name
        assert lines[place + 1] == ""


def test_no_line_is_wider_than_a_screen() -> None:
    """A hundred columns, and no white space at the end."""
    for line in default_text().splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


def test_what_init_was_told_is_set() -> None:
    """Each answer stands in the place of its comment."""
    text = default_text(
        issuer='Acme "Licensing" \\ Söhne',
        operator="Jane",
        upload_window="3d",
        store="file:/keys/",
        output="/out",
        key_backup_folder=None,
        features="x,y",
    )
    settings = interpret(parse(text))
    assert settings.issuer == 'Acme "Licensing" \\ Söhne'
    assert settings.operator == "Jane"
    assert settings.upload_window == timedelta(days=3)
    assert settings.store == "file:/keys/"
    assert settings.output == Path("/out")
    assert settings.key_backup_folder is None
    assert settings.features == ("x", "y")
    assert "# issuer" not in text
    assert "# key_backup_folder = " in text
    assert '# How long after its issue the server takes a file; 7 days are assumed until told.\nupload_window = "3d"\n' in text  # fmt: skip # noqa: E501 - two lines of the file as they stand


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"isuer": "x"}, "isuer: there is no such setting"),
        ({"issuer": ""}, "issuer: must have 1 to 200 characters, has 0"),
        ({"issuer": "a\nb"}, r"issuer: character U\+000A is not allowed"),
        ({"upload_window": "soon"}, "upload_window: not a length of time: soon"),
        ({"default_plan": "gold"}, "default_plan: there is no plan gold"),
        ({"stores": "x"}, "stores: must be stores. and a key's kid"),
    ],
)
def test_a_wrong_answer_is_refused(given: dict[str, str], message: str) -> None:
    """`init` writes no file that the next command would refuse."""
    with pytest.raises(InvalidSettings, match=message):
        default_text(**given)


def test_it_loads_from_a_home(tmp_path: Path) -> None:
    """The written file is the one that is read."""
    settings_path(tmp_path).write_text(default_text(issuer="Müller"), encoding="utf-8")
    assert load(tmp_path, {}).settings.issuer == "Müller"
