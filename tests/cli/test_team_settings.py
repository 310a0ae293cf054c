"""Settings in a team's registry, which all homes share."""

from pathlib import Path

import pytest
from support.cli import Desk
from support.postgres import Cluster
from support.team import team

from polygent_issuer.home import settings_editing
from polygent_issuer.registry import change

OPTIONS = ("--issuer", "Polygent Ltd", "--upload-window", "5d")


@pytest.fixture
def desks(tmp_path: Path, postgres: Cluster) -> tuple[Desk, Desk]:
    """Ada's and Ben's desk; Ada created the registry with an issuer and an upload window."""
    return team(tmp_path, postgres, *OPTIONS)


def shown(desk: Desk, key: str) -> tuple[str | None, str]:
    """Return the value and the source of a setting."""
    entry = desk.ok("config", "show", key, "--json").json["settings"][key]
    return entry["value"], entry["origin"]


def database(desk: Desk) -> str:
    """Return the name of the database."""
    uri, _ = shown(desk, "registry")
    return str(uri).partition("@/")[2].partition("?")[0]


def test_a_home_that_joins_has_the_settings_of_the_registry(desks: tuple[Desk, Desk]) -> None:
    """Its own file names neither an issuer nor plans."""
    _, ben = desks
    assert shown(ben, "issuer") == ("Polygent Ltd", "registry")
    assert shown(ben, "upload_window") == ("5d", "registry")
    assert shown(ben, "plans.trial.users") == ("5", "registry")
    assert shown(ben, "operator") == ("Ben", "file")
    assert "[plans" not in (ben.home / "settings.toml").read_text()
    created = ben.ok("journal", "show", "--json").json["rows"][0]
    assert created["event"] == "registry-created"
    assert created["details"]["changes"]["issuer"] == [None, "Polygent Ltd"]


def test_a_change_of_one_home_counts_in_the_other(desks: tuple[Desk, Desk]) -> None:
    """The journal has the old and the new value, and the next license has the new one."""
    ada, ben = desks
    changed = ben.ok("config", "set", "issuer", "Polygent SE", "--json").json
    assert (changed["old"], changed["new"]) == ("Polygent Ltd", "Polygent SE")
    assert changed["path"].startswith("postgresql://")
    ada.ok("config", "set", "plans.trial.users", "7")
    [*_, row] = ada.ok("journal", "show", "--json").json["rows"]
    assert (row["event"], row["operator"]) == ("settings-changed", "Ada")
    assert row["details"] == {"changes": {"plans.trial.users": ["5", "7"]}}
    document = ada.machine_info()
    signed = ada.ok("sign", "--machine-info", document, "--plan", "trial", "--yes", "--json").json
    [license_] = signed["licenses"]
    assert license_["claims"]["iss"] == "Polygent SE"
    assert license_["claims"]["limits"]["users"] == 7
    assert "intact" in ben.ok("journal", "verify").text


def test_what_is_set_already_leaves_no_journal_row(desks: tuple[Desk, Desk]) -> None:
    """Also a refused value changes nothing."""
    ada, ben = desks
    before = ada.ok("journal", "show", "--json").json["rows"]
    assert "nothing was changed" in ben.ok("config", "set", "upload_window", "5d").text
    assert ben.run("config", "set", "upload_window", "soon").code == 3
    assert ben.run("config", "set", "plans.gold.users", "3").code == 3
    assert ben.run("config", "set", "default_plan", "gold").code == 3
    assert ada.ok("journal", "show", "--json").json["rows"] == before


def test_a_setting_is_removed_from_the_registry(desks: tuple[Desk, Desk]) -> None:
    """Then the default applies, and it can be set again."""
    ada, ben = desks
    ben.ok("config", "set", "upload_window", "none")
    ben.ok("config", "set", "issuer", "")
    ben.ok("config", "set", "plans.trial", "none")
    assert shown(ada, "upload_window") == (None, "default")
    assert shown(ada, "issuer") == ("polygent-operator", "default")
    assert ada.run("config", "show", "plans.trial").code == 3
    ada.ok("config", "set", "upload_window", "9d")
    assert shown(ben, "upload_window") == ("9d", "registry")


def test_the_file_of_a_home_does_not_count(desks: tuple[Desk, Desk]) -> None:
    """`config show` lists what the registry overrides; other commands are silent."""
    _, ben = desks
    settings_editing.set_value(ben.home, "issuer", "Ben & Co")
    settings_editing.set_value(ben.home, "upload_window", "5d")  # as in the registry
    answer = ben.ok("config", "show", "--json").json
    assert answer["overridden"] == ["issuer"]
    assert answer["settings"]["issuer"]["value"] == "Polygent Ltd"
    assert "overridden by the registry" in ben.ok("config", "show", "issuer").text
    assert ben.ok("customer", "list").err == ""


def test_other_settings_stay_in_the_home(desks: tuple[Desk, Desk]) -> None:
    """A day of one operator is not that of the other."""
    ada, ben = desks
    ben.ok("config", "set", "not_due", "30d")
    assert shown(ben, "not_due") == ("30d", "file")
    assert shown(ada, "not_due") == ("90d", "default")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--issuer", "Other Ltd"), 3),
        (("--upload-window", "6d"), 3),
        (("--issuer", "Polygent Ltd", "--upload-window", "120h"), 0),
    ],
)
def test_a_home_that_joins_cannot_bring_other_settings(
    desks: tuple[Desk, Desk], options: tuple[str, ...], code: int
) -> None:
    """It is refused before anything is created."""
    uri, _ = shown(desks[0], "registry")
    cid = Desk(desks[0].folder.parent / "cid")
    outcome = cid.run("init", "--registry", str(uri), *options)
    assert outcome.code == code
    assert cid.home.exists() == (code == 0)
    assert code == 0 or "the registry that this home joins has" in outcome.err


def test_the_first_setting_brings_those_of_its_home(tmp_path: Path, postgres: Cluster) -> None:
    """As in a registry that was moved from a file: it has no settings yet."""
    ada, ben = team(tmp_path, postgres)
    postgres.execute(
        "DELETE FROM polygent.team_settings",
        "DELETE FROM polygent.row_journal WHERE name LIKE 'team_settings/%'",
        database=database(ada),
    )
    settings_editing.set_value(ben.home, "plans.trial.users", "9")
    assert shown(ben, "plans.trial.users") == ("9", "file")
    noted = ben.ok("config", "set", "issuer", "Polygent Ltd").err
    assert "from now on the registry has these settings: issuer, upload_window" in noted
    assert shown(ada, "issuer") == ("Polygent Ltd", "registry")
    assert shown(ada, "plans.trial.users") == ("9", "registry")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE polygent.team_settings SET value = '\"Mallory\"' WHERE name = 'issuer'",
        "DELETE FROM polygent.team_settings WHERE name = 'issuer'",
        "INSERT INTO polygent.team_settings VALUES ('require_order_id', 'true')",
    ],
)
def test_an_edited_setting_is_refused(
    desks: tuple[Desk, Desk], postgres: Cluster, edit: str
) -> None:
    """Nothing is signed with it; config show and journal verify report it."""
    ada, ben = desks
    ada.ok("journal", "verify")
    postgres.execute(edit, database=database(ada))
    document = ada.machine_info()
    refused = ada.run("sign", "--machine-info", document, "--term", "20d", "--yes", "--json")
    assert refused.json["error"]["code"] == "registry_damaged"
    assert ben.run("config", "set", "upload_window", "6d").code == 7
    assert "settings in the registry are not shown" in ben.ok("config", "show").err
    assert ben.run("journal", "verify").code == 7
    assert ben.run("doctor").code == 7


def test_a_change_that_another_home_made_meanwhile_is_not_undone(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is compared within the write transaction."""
    ada, ben = desks
    carry_out = change.carry_out

    def after_another(*args: object, **options: object) -> object:
        monkeypatch.setattr(change, "carry_out", carry_out)
        ada.ok("config", "set", "issuer", "Polygent SE")
        return carry_out(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(change, "carry_out", after_another)
    refused = ben.run("config", "set", "issuer", "Polygent AG", "--json")
    assert refused.json["error"]["code"] == "registry_changed"
    assert shown(ben, "issuer") == ("Polygent SE", "registry")


def test_a_backup_carries_the_settings_of_the_team(
    desks: tuple[Desk, Desk], tmp_path: Path
) -> None:
    """A new home that takes only the settings of a backup signs as the team does."""
    ada, _ = desks
    backup = tmp_path / "backup.db"
    ada.ok("registry", "backup", str(backup))
    lone = Desk(tmp_path / "lone")
    lone.folder.mkdir()
    lone.ok("init")
    lone.ok("registry", "restore", str(backup), "--settings", "only")
    assert shown(lone, "issuer") == ("Polygent Ltd", "file")


def test_a_restored_backup_keeps_the_settings_of_the_team(
    desks: tuple[Desk, Desk], tmp_path: Path
) -> None:
    """They are in the registry, also in a file, where config set changes them."""
    ada, _ = desks
    backup = tmp_path / "backup.db"
    ada.ok("registry", "backup", str(backup))
    lone = Desk(tmp_path / "lone")
    lone.folder.mkdir()
    restored = lone.ok("registry", "restore", str(backup), "--yes", "--json").json
    assert "issuer" not in restored["settings_differences"]
    assert shown(lone, "issuer") == ("Polygent Ltd", "registry")
    lone.ok("config", "set", "issuer", "Polygent SE")
    assert shown(lone, "issuer") == ("Polygent SE", "registry")
    assert "intact" in lone.ok("journal", "verify").text
