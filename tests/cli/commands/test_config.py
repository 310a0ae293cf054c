"""`polygent-issue config`: show, set, path and mail-template."""

import os
import re
import shlex
from typing import Any

import pytest
from support.licenses import Books

from polygent_issuer.delivery.template import DEFAULT, PLACEHOLDERS, template_path
from polygent_issuer.home.settings import KEYS, load, settings_path

KID = "a" * 43
SHOW = ("config", "show")


def _settings(books: Books) -> dict[str, Any]:
    settings: dict[str, Any] = books.desk.ok("config", "show", "--json").json["settings"]
    return settings


def test_each_setting_is_shown_with_its_origin(books: Books) -> None:
    """The source is default, file or environment; an unset value is shown as such."""
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    lines = books.desk.ok("config", "show").text.splitlines()
    assert lines[0] == f"settings file: {settings_path(books.desk.home)}"
    cells = {line.split("  ")[0]: tuple(re.split(" {2,}", line)[1:]) for line in lines[1:]}
    assert lines[1].split() == ["setting", "from", "value", "meaning"]
    assert cells["issuer"] == ("file", "Polygent Ltd", KEYS["issuer"].about)
    assert cells["not_due"] == ("default", "90d", KEYS["not_due"].about)
    assert cells["operator"][:2] == ("POLYGENT_ISSUER_OPERATOR", "Grace")
    assert cells["upload_window"][:2] == ("default", "not set")
    assert cells["plans.trial.term"] == ("file", "30d")
    assert "for the meanings in a plan: polygent-issue config show plans.trial" in lines


def test_json_has_every_setting(books: Books) -> None:
    """Each dotted key has value, source, the file or variable, and its meaning."""
    loaded = load(books.desk.home, {})
    shown = _settings(books)
    assert list(shown) == list(loaded.entries)
    path = str(settings_path(books.desk.home))
    about = shown["issuer"].pop("about")
    assert about == "the issuer's name, written into every license"
    assert shown["issuer"] == {"value": "Polygent Ltd", "origin": "file", "detail": path}
    assert shown["upload_window"]["value"] is shown["upload_window"]["detail"] is None
    assert all(each.get("about") for key, each in shown.items() if key != "issuer")
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    detail = "POLYGENT_ISSUER_OPERATOR"
    operator = _settings(books)["operator"]
    assert (operator["value"], operator["origin"]) == ("Grace", "environment")
    assert operator["detail"] == detail


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
def test_old_and_new_value_are_printed(
    books: Books, key: str, value: str, old: str, new: str
) -> None:
    """Values are printed as parsed, not as typed, and are effective."""
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
def test_an_optional_setting_can_be_cleared(books: Books, key: str, value: str, word: str) -> None:
    """An optional setting is cleared by the word that `config show` prints, or a similar one."""
    books.desk.ok("config", "set", key, value)
    assert books.desk.ok("config", "set", key, word).text == f"{key}: {value} → not set\n"
    assert _settings(books)[key]["origin"] == "default"


def test_none_clears_only_optional_settings(books: Books) -> None:
    """`none` empties a list; a required setting is not cleared."""
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
    """A refused value gets an example of a valid one."""
    err = books.desk.run("config", "set", key, value).err
    assert err.rstrip().endswith(f"for example polygent-issue config set {example}")
    books.desk.ok("config", "set", *shlex.split(example))


def test_a_limit_of_a_plan_is_not_refused_with_an_option(books: Books) -> None:
    """`config set` has no option `--users`, so its hint names none."""
    err = books.desk.run("config", "set", "plans.trial.users", "0").err
    example = "for example polygent-issue config set plans.trial.users 25"
    assert err.endswith(f"\nhint: choose a number within that range; {example}\n")


def test_an_error_elsewhere_gets_no_example(books: Books) -> None:
    """If the value is valid or the setting unknown, no example is given."""
    assert "for example" not in books.desk.run("config", "set", "not_deu", "30d").err
    settings_path(books.desk.home).write_text('not_due = "soon"\n')
    assert "for example" not in books.desk.run("config", "set", "lapsed", "30d").err


def test_json_of_a_change(books: Books) -> None:
    """JSON has `key`, `old` and `new`, with null for an unset value."""
    result = books.desk.ok("config", "set", "upload_window", "7d", "--json").json
    assert (result["key"], result["old"], result["new"]) == ("upload_window", None, "7d")
    result = books.desk.ok("config", "set", "upload_window", "", "--json").json
    assert (result["old"], result["new"]) == ("7d", None)


def test_an_unchanged_value_is_reported(books: Books) -> None:
    """Setting the same value is exit 0 and reported as unchanged."""
    assert (
        books.desk.ok("config", "set", "not_due", "90d").text
        == "not_due is already 90d; nothing was changed\n"
    )


@pytest.mark.sqlite
def test_comments_stay(books: Books) -> None:
    """Only the value changes; comments of the file stay."""
    path = settings_path(books.desk.home)
    before = path.read_text().splitlines()
    books.desk.ok("config", "set", "issuer", "Polygent SE")
    after = path.read_text().splitlines()
    differing = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert differing == [('issuer = "Polygent Ltd"', 'issuer = "Polygent SE"')]


@pytest.mark.parametrize(
    ("key", "value", "message"),
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
def test_an_invalid_setting_is_refused(books: Books, key: str, value: str, message: str) -> None:
    """An invalid setting is exit 3 with a suggestion; the file stays unchanged."""
    before = settings_path(books.desk.home).read_bytes()
    outcome = books.desk.run("config", "set", key, value, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "invalid_settings"
    assert message in outcome.json["error"]["hint"]
    assert settings_path(books.desk.home).read_bytes() == before


def test_an_invalid_file_can_be_fixed(books: Books) -> None:
    """Other commands name the invalid key, and `config set` of that key fixes it."""
    path = settings_path(books.desk.home)
    path.write_text('not_due = "soon"\n')
    broken = books.desk.run("config", "show", "--json")
    assert broken.code == 3
    assert "not_due" in broken.json["error"]["message"]
    text = books.desk.ok("config", "set", "not_due", "30d").text
    assert text == "not_due: 30d (the old value was unreadable)\n"
    assert _settings(books)["not_due"]["value"] == "30d"


def test_an_overriding_variable_is_warned_of(books: Books) -> None:
    """If a variable overrides the setting, a warning names it."""
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    outcome = books.desk.ok("config", "set", "operator", "Hedy")
    assert outcome.text == "operator: Ada → Hedy\n"
    assert "POLYGENT_ISSUER_OPERATOR is set and overrides the settings file" in outcome.err
    assert books.desk.ok("config", "set", "not_due", "30d").err == ""


def test_only_the_path_is_printed(books: Books) -> None:
    """Only the path is printed, so `$EDITOR $(polygent-issue config path)` works."""
    path = settings_path(books.desk.home)
    assert books.desk.ok("config", "path").text == f"{path}\n"
    assert books.desk.ok("config", "path", "--json").json["path"] == str(path)
    path.write_text("not TOML")
    assert books.desk.ok("config", "path").text == f"{path}\n"


@pytest.mark.parametrize("argv", [("show",), ("set", "not_due", "30d"), ("path",)])
def test_without_a_home_it_is_exit_7(books: Books, argv: tuple[str, ...]) -> None:
    """A missing home is exit 7, and none is created."""
    elsewhere = books.desk.folder / "nowhere"
    outcome = books.desk.run("config", *argv, "--home", str(elsewhere), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "home_missing")
    assert not elsewhere.exists()


@pytest.mark.parametrize("argv", [("set",), ("set", "not_due"), ("set", "a", "b", "c")])
def test_a_key_and_a_value_are_needed(books: Books, argv: tuple[str, ...]) -> None:
    """A missing key or value is exit 2."""
    outcome = books.desk.run("config", *argv, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (2, "usage")


def test_one_setting_or_group_is_shown(books: Books) -> None:
    """A setting, a plan or a table, which may be empty, is shown with its source."""
    lines = books.desk.ok("config", "show", "not_due").text.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["setting", "from", "value"],
        ["not_due", "default", "90d"],
    ]
    plan = books.desk.ok("config", "show", "plans.trial").text
    assert "  how long a license runs: 1y, 6mo or 90d\n" in plan
    kid = f"stores.{KID}"
    books.desk.ok("config", "set", kid, "keyring:")
    assert "keyring:  where this private key is kept\n" in books.desk.ok(*SHOW, kid).text
    books.desk.ok("config", "set", kid, "")
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
def test_an_unknown_setting_is_refused(books: Books, key: str, near: str | None) -> None:
    """An unknown setting is exit 3 with the nearest one."""
    outcome = books.desk.run("config", "show", key, "--json")
    assert outcome.code == 3
    every = "polygent-issue config show"
    assert outcome.json["error"]["hint"] == (f"did you mean {near}? or {every}" if near else every)


def test_a_plan_can_be_added_and_removed(books: Books) -> None:
    """A new plan is printed; after its removal the file is as before."""
    result = books.desk.ok("config", "set", "plans.partner", "trial", "--json").json
    assert result["old"] is None
    assert result["new"].startswith("tier standard; term 30d; renewable false; users 5; ")
    assert _settings(books)["plans.partner.users"]["value"] == "5"
    outcome = books.desk.run("config", "set", "plans.partner", "trial")
    assert (outcome.code, "plans.partner none" in outcome.err) == (3, True)
    assert books.desk.ok("config", "set", "plans.partner", "none").text.endswith("→ not set\n")
    assert "plans.partner.users" not in _settings(books)
    assert books.desk.run("config", "set", "plans.partner", "trail").code == 5


def test_the_default_template_is_printed(books: Books) -> None:
    """The default template goes to stdout; stderr names the command for a copy."""
    result = books.desk.ok("config", "mail-template")
    assert result.text == DEFAULT
    assert "polygent-issue config mail-template --write" in result.err
    assert not template_path(books.desk.home).exists()


def test_a_copy_is_written_once(books: Books) -> None:
    """The copy goes to the home and is not overwritten; placeholders are listed."""
    path = template_path(books.desk.home)
    result = books.desk.ok("config", "mail-template", "--write").text
    assert result.startswith(f"wrote {path}; ")
    for name, about in PLACEHOLDERS.items():
        assert f"  ${name} " in result
        assert about in result
    assert path.read_text("utf-8") == DEFAULT
    path.write_text("Subject: $customer\n\nmine\n")
    outcome = books.desk.run("config", "mail-template", "--write")
    assert outcome.code == 8
    assert "hint: edit this file" in outcome.err
    assert books.desk.ok("config", "mail-template").text == "Subject: $customer\n\nmine\n"


def test_json_has_the_placeholders(books: Books) -> None:
    """JSON has path, text, whether it is edited, and the placeholders."""
    result = books.desk.ok("config", "mail-template", "--json").json
    assert (result["edited"], result["text"]) == (False, DEFAULT)
    assert result["placeholders"] == dict(PLACEHOLDERS)
    assert result["path"] == os.fspath(template_path(books.desk.home))


def test_an_edited_template_is_checked(books: Books) -> None:
    """An unknown placeholder is exit 3 with the nearest name."""
    template_path(books.desk.home).write_text("Subject: x\n\n$machin\n")
    outcome = books.desk.run("config", "mail-template", "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == "invalid_template"
    assert outcome.json["error"]["hint"] == "did you mean $machine?"
