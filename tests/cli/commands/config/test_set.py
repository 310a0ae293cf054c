"""`polygent-issue config show`, `config set` and `config path`."""

import shlex
from typing import Any

import pytest
from support.licenses import Books

from polygent_issuer.home.settings import load, settings_path

KID = "a" * 43


def _settings(books: Books) -> dict[str, Any]:
    settings: dict[str, Any] = books.desk.ok("config", "show", "--json").json["settings"]
    return settings


def test_each_setting_is_shown_with_its_origin(books: Books) -> None:
    """Default, file, environment; what is not set is said so."""
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    lines = books.desk.ok("config", "show").text.splitlines()
    assert lines[0] == f"settings file: {settings_path(books.desk.home)}"
    cells = {line.split("  ")[0]: line.split() for line in lines[1:]}
    assert cells["setting"] == ["setting", "from", "value"]
    assert cells["issuer"] == ["issuer", "file", "Polygent", "Ltd"]
    assert cells["not_due"] == ["not_due", "default", "90d"]
    assert cells["operator"] == ["operator", "POLYGENT_ISSUER_OPERATOR", "Grace"]
    assert cells["upload_window"] == ["upload_window", "default", "not", "set"]
    assert cells["plans.trial.term"] == ["plans.trial.term", "file", "30d"]


def test_json_has_every_setting(books: Books) -> None:
    """By dotted key: value, origin and which file or variable; none is left out."""
    loaded = load(books.desk.home, {})
    shown = _settings(books)
    assert list(shown) == list(loaded.entries)
    path = str(settings_path(books.desk.home))
    assert shown["issuer"] == {"value": "Polygent Ltd", "origin": "file", "detail": path}
    assert shown["upload_window"] == {"value": None, "origin": "default", "detail": None}
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    detail = "POLYGENT_ISSUER_OPERATOR"
    assert _settings(books)["operator"] == {
        "value": "Grace",
        "origin": "environment",
        "detail": detail,
    }


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("upload_window", "48h", "not set", "2d"),
        ("not_due", "30d", "90d", "30d"),
        ("issuer", "Polygent SE", "Polygent Ltd", "Polygent SE"),
        ("plans.trial.users", "7", "5", "7"),
        ("features", "insights-2", "none", "insights-2"),
        (f"stores.{KID}", "keyring:", "not set", "keyring:"),
        ("operator", "", "Ada", "not set"),
    ],
)
def test_old_and_new_are_said(books: Books, key: str, value: str, old: str, new: str) -> None:
    """As they will be understood, not as they were typed; and they are in force."""
    if key == "plans.trial.users":
        old = _settings(books)[key]["value"]
    text = books.desk.ok("config", "set", key, value).text
    assert text == f"{key}: {old} → {new}\n"
    in_force = _settings(books)[key]["value"]
    assert in_force == (None if new == "not set" else new)


@pytest.mark.parametrize("word", ["none", "unknown", "not set", "None", ""])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("operator", "Hedy"),
        ("upload_window", "7d"),
        ("output", "/srv/licenses"),
        ("key_backup_folder", "/srv/keys"),
    ],
)
def test_what_may_be_unset_takes_the_word_for_it(
    books: Books, key: str, value: str, word: str
) -> None:
    """As `config show` prints it, or as a person says it."""
    books.desk.ok("config", "set", key, value)
    assert books.desk.ok("config", "set", key, word).text == f"{key}: {value} → not set\n"
    assert _settings(books)[key]["origin"] == "default"


def test_none_empties_the_list_and_is_a_value_elsewhere(books: Books) -> None:
    """What must be set is not taken out by a word."""
    books.desk.ok("config", "set", "features", "insights-2")
    assert (
        books.desk.ok("config", "set", "features", "none").text == "features: insights-2 → none\n"
    )
    assert _settings(books)["features"]["value"] == ""
    assert books.desk.run("config", "set", "not_due", "none").code == 3
    books.desk.ok("config", "set", "issuer", "None")
    assert _settings(books)["issuer"]["value"] == "None"


@pytest.mark.parametrize(
    ("key", "value", "example"),
    [
        ("not_due", "soon", "not_due 7d"),
        ("issuer", "a\x1bb", "issuer 'Acme Licensing'"),
        ("mail_from", "Ada", "mail_from 'Polygent <licenses@polygent.example>'"),
        ("output", "here", "output '~/licenses'"),
        ("features", "A b", "features insights,bots"),
        ("plans.trial.users", "many", "plans.trial.users 25"),
        ("plans.trial.renewable", "maybe", "plans.trial.renewable true"),
        ("keyring_timeout", "2h", "keyring_timeout 20s"),
    ],
)
def test_a_refusal_gives_an_example(books: Books, key: str, value: str, example: str) -> None:
    """One that this setting takes."""
    err = books.desk.run("config", "set", key, value).err
    assert err.rstrip().endswith(f"for example polygent-issue config set {example}")
    books.desk.ok("config", "set", *shlex.split(example))


def test_a_fault_elsewhere_gets_no_example(books: Books) -> None:
    """What was typed was right, or no setting."""
    assert "for example" not in books.desk.run("config", "set", "not_deu", "30d").err
    settings_path(books.desk.home).write_text('not_due = "soon"\n')
    assert "for example" not in books.desk.run("config", "set", "lapsed", "30d").err


def test_json_of_a_change(books: Books) -> None:
    """`key`, `old`, `new`; null for what is not set."""
    told = books.desk.ok("config", "set", "upload_window", "7d", "--json").json
    assert (told["key"], told["old"], told["new"]) == ("upload_window", None, "7d")
    told = books.desk.ok("config", "set", "upload_window", "", "--json").json
    assert (told["old"], told["new"]) == ("7d", None)


def test_what_is_so_already_is_said_so(books: Books) -> None:
    """Exit 0: nothing to do."""
    assert (
        books.desk.ok("config", "set", "not_due", "90d").text
        == "not_due is already 90d; nothing was changed\n"
    )


def test_comments_stay(books: Books) -> None:
    """The file is the operator's; only the value changes."""
    path = settings_path(books.desk.home)
    before = path.read_text().splitlines()
    books.desk.ok("config", "set", "issuer", "Polygent SE")
    after = path.read_text().splitlines()
    differing = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert differing == [('issuer = "Polygent Ltd"', 'issuer = "Polygent SE"')]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("not_deu", "30d", "did you mean not_due?"),
        ("upload-window", "7d", "did you mean upload_window?"),
        ("plans.trial.user", "7", "did you mean plans.trial.users?"),
        ("not_due", "soon", "7d"),
        ("default_plan", "standard-anual", "did you mean standard-annual?"),
        ("store", "ftp:/x", "keyring:"),
        ("issuer", "a\x1bb", "visible characters"),
    ],
)
def test_what_would_not_load_is_refused(books: Books, key: str, value: str, said: str) -> None:
    """Exit 3 with what was probably meant; not a byte of the file changes."""
    before = settings_path(books.desk.home).read_bytes()
    outcome = books.desk.run("config", "set", key, value, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "invalid_settings"
    assert said in outcome.json["error"]["hint"]
    assert settings_path(books.desk.home).read_bytes() == before


def test_a_file_that_does_not_load_can_be_mended(books: Books) -> None:
    """Other commands name the key; `config set` of that key puts it right."""
    path = settings_path(books.desk.home)
    path.write_text('not_due = "soon"\n')
    broken = books.desk.run("config", "show", "--json")
    assert broken.code == 3
    assert "not_due" in broken.json["error"]["message"]
    text = books.desk.ok("config", "set", "not_due", "30d").text
    assert text == "not_due: 30d (the old value was unreadable)\n"
    assert _settings(books)["not_due"]["value"] == "30d"


def test_a_variable_that_counts_more_is_said(books: Books) -> None:
    """What was set is in the file, but not in force."""
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    outcome = books.desk.ok("config", "set", "operator", "Hedy")
    assert outcome.text == "operator: Ada → Hedy\n"
    assert "POLYGENT_ISSUER_OPERATOR is set and overrides the settings file" in outcome.err
    assert books.desk.ok("config", "set", "not_due", "30d").err == ""


def test_a_path_for_an_editor(books: Books) -> None:
    """The path alone, so that `$EDITOR $(polygent-issue config path)` works."""
    path = settings_path(books.desk.home)
    assert books.desk.ok("config", "path").text == f"{path}\n"
    assert books.desk.ok("config", "path", "--json").json["path"] == str(path)
    path.write_text("not TOML")
    assert books.desk.ok("config", "path").text == f"{path}\n"


@pytest.mark.parametrize("argv", [("show",), ("set", "not_due", "30d"), ("path",)])
def test_without_a_home_it_is_exit_7(books: Books, argv: tuple[str, ...]) -> None:
    """None is made by the way."""
    elsewhere = books.desk.folder / "nowhere"
    outcome = books.desk.run("config", *argv, "--home", str(elsewhere), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "home_missing")
    assert not elsewhere.exists()


@pytest.mark.parametrize("argv", [("set",), ("set", "not_due"), ("set", "a", "b", "c")])
def test_a_key_and_a_value_are_needed(books: Books, argv: tuple[str, ...]) -> None:
    """Anything else is wrong usage."""
    outcome = books.desk.run("config", *argv, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (2, "usage")


def test_one_key_is_shown_alone(books: Books) -> None:
    """Or one plan, or a table, which may be empty; with its origin."""
    lines = books.desk.ok("config", "show", "not_due").text.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["setting", "from", "value"],
        ["not_due", "default", "90d"],
    ]
    settings = books.desk.ok("config", "show", "plans.trial", "--json").json["settings"]
    assert [key.rpartition(".")[2] for key in settings] == [
        *("tier", "term", "renewable", "users", "session_hosts", "deploy_hosts", "features"),
    ]
    assert books.desk.ok("config", "show", "stores", "--json").json["settings"] == {}
    assert "no such setting is set" in books.desk.ok("config", "show", "stores").text


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("not_deu", "not_due"),
        ("not-due", "not_due"),
        ("plans.trail", "plans.trial"),
        ("plans.trial.user", "plans.trial.users"),
        ("plans.standard-anual.users", "plans.standard-annual.users"),
        ("plan", "plans"),
        ("xyzzy", None),
    ],
)
def test_a_key_that_does_not_exist_is_not_shown(books: Books, key: str, near: str | None) -> None:
    """Exit 3 with the nearest one."""
    outcome = books.desk.run("config", "show", key, "--json")
    assert outcome.code == 3
    every = "polygent-issue config show"
    assert outcome.json["error"]["hint"] == (f"did you mean {near}? or {every}" if near else every)


def test_a_new_plan(books: Books) -> None:
    """It says what the plan is; taken out again, it is as before."""
    told = books.desk.ok("config", "set", "plans.partner", "trial", "--json").json
    assert told["old"] is None
    assert told["new"].startswith("tier standard; term 30d; renewable false; users 5; ")
    assert _settings(books)["plans.partner.users"]["value"] == "5"
    outcome = books.desk.run("config", "set", "plans.partner", "trial")
    assert (outcome.code, "plans.partner none" in outcome.err) == (3, True)
    assert books.desk.ok("config", "set", "plans.partner", "none").text.endswith("→ not set\n")
    assert "plans.partner.users" not in _settings(books)
    assert books.desk.run("config", "set", "plans.partner", "trail").code == 5
