"""Editing the settings: one value changes, comments stay, invalid settings are never written."""

import errno
import fcntl
import os
import re
import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import tomlkit
import tomlkit.exceptions
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidSettings, NotFound, OutputProblem
from polygent_issuer.home import settings_editing
from polygent_issuer.home.folder import parse
from polygent_issuer.home.settings import KEYS, Settings, interpret, load, settings_path
from polygent_issuer.home.settings_editing import default_text, plans_text, set_value

KID = "x1_-" + "A" * 39
BY_HAND = """\
# mine
issuer = "Acme"   # as in the contract

not_due = "30d"

[stores]   # the places of keys
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the settings file of `init`."""
    settings_path(tmp_path).write_text(default_text(), encoding="utf-8")
    return tmp_path


def text(home: Path) -> str:
    """Return the text of the settings file with its line ends."""
    return settings_path(home).read_bytes().decode()


def comments(home: Path) -> list[str]:
    """Return every comment line of the settings file."""
    return [line for line in text(home).splitlines() if line.startswith("#")]


@pytest.mark.parametrize(
    ("key", "typed", "written"),
    [
        ("issuer", 'Acme "Licensing" \\', 'Acme "Licensing" \\'),
        ("operator", "Zoë", "Zoë"),
        ("upload_window", "3d", "3d"),
        ("machine_info_max_age", "36h", "36h"),
        ("long_term", "5y", "5y"),
        ("not_due", "60d", "60d"),
        ("lapsed", "60d", "60d"),
        ("store", "file:/keys/", "file:/keys/"),
        ("key_backup_folder", "/media/usb", "/media/usb"),
        ("output", "~/licenses", "~/licenses"),
        ("mail_from", "Ops <o@a.example>", "Ops <o@a.example>"),
        ("default_plan", "trial", "trial"),
        ("features", "quantum, warp", ["quantum", "warp"]),
        ("features", '["quantum"]', ["quantum"]),
        ("features", " [ ] ", []),
        ("features", "", []),
        ("keyring_timeout", "5s", "5s"),
        (f"stores.{KID}", "keyring", "keyring"),
        ("plans.trial.tier", "enterprise", "enterprise"),
        ("plans.trial.term", "14d", "14d"),
        ("plans.trial.renewable", "true", True),
        ("plans.trial.users", "9", 9),
        ("plans.trial.session_hosts", "0", 0),
        ("plans.trial.deploy_hosts", "1000000", 1_000_000),
        ("plans.trial.features", "bots,insights", ["bots", "insights"]),
    ],
)
def test_every_key_can_be_set(home: Path, key: str, typed: str, written: object) -> None:
    """A value is written with its type, and nothing else in the file changes."""
    before = tomllib.loads(text(home))
    set_value(home, key, typed)
    inner = before
    *outer, last = key.split(".")
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = written
    assert tomllib.loads(text(home)) == before
    load(home, {})


def test_a_value_replaces_its_commented_default(home: Path) -> None:
    """The description above the setting stays, the commented default is replaced."""
    set_value(home, "not_due", "60d")
    about = KEYS["not_due"].about
    assert f'# {about[0].upper()}{about[1:]}.\nnot_due = "60d"\n' in text(home)
    assert "# not_due" not in text(home)
    assert text(home).replace('not_due = "60d"', '# not_due = "90d"') == default_text()


def test_comments_and_order_stay(tmp_path: Path) -> None:
    """A file in another layout keeps its comments and its order."""
    settings_path(tmp_path).write_text(BY_HAND)
    set_value(tmp_path, "issuer", "Globex")
    set_value(tmp_path, f"stores.{KID}", "keyring:")
    assert text(tmp_path) == BY_HAND.replace("Acme", "Globex") + f'{KID} = "keyring:"\n'


def test_a_new_key_goes_before_the_tables(tmp_path: Path) -> None:
    """A new key is written before the tables, because after a header it would belong to one."""
    settings_path(tmp_path).write_text(BY_HAND)
    set_value(tmp_path, "operator", "Jane")
    assert load(tmp_path, {}).settings.operator == "Jane"
    assert all(line in text(tmp_path) for line in BY_HAND.splitlines())


def test_setting_twice_keeps_one(home: Path) -> None:
    """A second value replaces the first, and every comment stays."""
    expected = [line for line in comments(home) if not line.startswith("# output")]
    for folder in ("/a", "/b"):
        set_value(home, "output", folder)
    assert load(home, {}).settings.output == Path("/b")
    assert comments(home) == expected


def test_windows_line_breaks_stay(tmp_path: Path) -> None:
    """A file with CRLF line ends keeps them."""
    settings_path(tmp_path).write_bytes(b'# issuer = "x"\r\nnot_due = "1d"\r\n')
    set_value(tmp_path, "issuer", "Acme")
    set_value(tmp_path, "not_due", "2d")
    assert settings_path(tmp_path).read_bytes() == b'issuer = "Acme"\r\nnot_due = "2d"\r\n'


def test_a_commented_default_within_a_text_is_not_replaced(tmp_path: Path) -> None:
    """A line within a multi-line text that looks like a commented default is not changed."""
    odd = 'issuer = """Acme\\\n# output = "/x"\\\n"""\n'
    settings_path(tmp_path).write_text(odd)
    set_value(tmp_path, "output", "/out")
    assert text(tmp_path) == odd + 'output = "/out"\n'


def test_two_commented_defaults_are_not_replaced(tmp_path: Path) -> None:
    """If a setting has two commented lines, both stay."""
    settings_path(tmp_path).write_text('# lapsed = "1d"\n# lapsed = "2d"\n')
    set_value(tmp_path, "lapsed", "3d")
    assert sorted(text(tmp_path).split("\n")) == [
        "",
        '# lapsed = "1d"',
        '# lapsed = "2d"',
        'lapsed = "3d"',
    ]


def test_a_commented_default_next_to_a_value_stays(tmp_path: Path) -> None:
    """An existing value is changed in place, and a commented default next to it stays."""
    settings_path(tmp_path).write_text('# not_due = "90d"\nnot_due = "1d"\n')
    set_value(tmp_path, "not_due", "2d")
    assert text(tmp_path) == '# not_due = "90d"\nnot_due = "2d"\n'


def test_a_missing_file_is_created(tmp_path: Path) -> None:
    """Setting a value creates a missing settings file."""
    set_value(tmp_path, "not_due", "30d")
    assert load(tmp_path, {}).settings == Settings(not_due=timedelta(days=30))


def test_a_shipped_plan_can_be_changed_without_being_in_the_file(tmp_path: Path) -> None:
    """All shipped plans are written into the file, so that the others stay."""
    set_value(tmp_path, "plans.trial.users", "9")
    plans = load(tmp_path, {}).settings.plans
    assert list(plans) == list(Settings().plans)
    assert plans["trial"].limits.users == 9
    assert plans["standard-annual"] == Settings().plans["standard-annual"]


def test_the_file_becomes_private(home: Path) -> None:
    """The settings file gets mode 0600 when it is changed."""
    settings_path(home).chmod(0o644)
    set_value(home, "not_due", "30d")
    assert stat.S_IMODE(settings_path(home).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["settings.toml"]


def test_a_link_stays_a_link(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """If the settings file is a link, its target is changed."""
    elsewhere = tmp_path_factory.mktemp("dotfiles") / "issuer.toml"
    settings_path(home).rename(elsewhere)
    settings_path(home).symlink_to(elsewhere)
    set_value(home, "not_due", "30d")
    assert settings_path(home).is_symlink()
    assert 'not_due = "30d"' in elsewhere.read_text()


@pytest.mark.parametrize(
    ("key", "typed", "message"),
    [
        ("isuer", "x", "isuer: unknown setting"),
        ("issuer.name", "x", "issuer.name: issuer is a single value"),
        ("", "x", ": unknown setting"),
        ("stores", "keyring:", "stores: must be stores.KID"),
        ("stores.kid", "keyring:", "stores.kid: must be stores.KID"),
        (f"stores.{KID}.x", "keyring:", f"stores.{KID}.x: must be stores.KID"),
        (f"stores.{KID}", "gopher:", f"stores.{KID}: not a key store: gopher:"),
        ("plans", "x", "plans: not a single value"),
        ("plans.trial", "standard-annual", "plans.trial: this plan already exists"),
        ("plans.Gold", "trial", "plans.Gold: not a plan name"),
        ("plans.a.b.c", "trial", "plans.a.b.c: not a single value"),
        ("plans.trial.user", "x", "plans.trial.user: unknown setting"),
        ("plans.gold.users", "5", "plans.gold: unknown plan"),
        ("plans.trial.users", "many", "plans.trial.users: not a whole number: many"),
        ("plans.trial.users", "0", "plans.trial.users: users must be 1 to 1,000,000, not 0"),
        ("plans.trial.users", "-5", "plans.trial.users: users must be 1 to 1,000,000, not -5"),
        ("plans.trial.users", "", "plans.trial.users: missing"),
        ("plans.trial.renewable", "yes", "plans.trial.renewable: must be true or false, not yes"),
        ("plans.trial.features", "bits", "plans.trial.features: unknown feature bits"),
        ("plans.trial.features", "sso-saml", "plans.trial.features: a standard license cannot"),
        (
            "plans.enterprise-annual.tier",
            "standard",
            "plans.enterprise-annual.features: a standard",
        ),
        ("features", "[1]", "features: must be a text, not a whole number"),
        ("features", "a,,b", "features: not a feature name: "),
        ("features", '["a"]\nissuer = "x"', "features: must be a list"),
        ("features", "[a", "features: must be a list"),
        ("features", "[" * 5000, "features: must be a list"),
        ("default_plan", "gold", "default_plan: unknown plan gold"),
        ("not_due", "soon", "not_due: not a duration: soon"),
        ("issuer", "a\x1b[31m", r"issuer: character U\+001B is not allowed"),
        ("mail_from", "a@b, c@d", "mail_from: not an email address: a@b, c@d"),
        ("output", "here", "output: not the absolute path of a folder: here"),
    ],
)
def test_an_invalid_value_is_not_written(home: Path, key: str, typed: str, message: str) -> None:
    """The error names the dotted path, and the file is not changed."""
    with pytest.raises(InvalidSettings, match=message) as caught:
        set_value(home, key, typed)
    assert "\x1b" not in caught.value.message
    assert caught.value.__cause__ is None
    assert text(home) == default_text()


def test_the_error_of_a_typed_value_does_not_name_the_file(home: Path) -> None:
    """An invalid value that was typed is not reported as an error of the settings file."""
    with pytest.raises(InvalidSettings) as caught:
        set_value(home, "not_due", "soon")
    assert caught.value.message == "not_due: not a duration: soon"


def test_a_file_with_another_invalid_value_is_not_written(tmp_path: Path) -> None:
    """The error names the file and the invalid value in it."""
    settings_path(tmp_path).write_text('lapsed = "x"\n')
    with pytest.raises(InvalidSettings, match=r"settings\.toml: lapsed: not a duration"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == 'lapsed = "x"\n'


def test_an_invalid_value_can_be_replaced(tmp_path: Path) -> None:
    """`config set` can replace the invalid value of a file that does not load."""
    settings_path(tmp_path).write_text('lapsed = "x"\n')
    set_value(tmp_path, "lapsed", "30d")
    assert text(tmp_path) == 'lapsed = "30d"\n'


def test_a_value_of_the_wrong_type_can_be_replaced(tmp_path: Path) -> None:
    """A value is written even if Python finds it equal to the old one, like `true` and 1."""
    set_value(tmp_path, "plans.trial.users", "9")
    broken = text(tmp_path).replace("users = 9", "users = true")
    settings_path(tmp_path).write_text(broken)
    set_value(tmp_path, "plans.trial.users", "1")
    assert load(tmp_path, {}).settings.plans["trial"].limits.users == 1


def test_an_edit_with_another_result_is_not_written(tmp_path: Path) -> None:
    """The edited text is parsed, and refused if it does not have exactly the intended change."""
    dotted = f'stores.{KID} = "keyring:"\n'
    settings_path(tmp_path).write_text(dotted)
    with pytest.raises(InvalidSettings, match=f"stores.{KID}: cannot be changed") as caught:
        set_value(tmp_path, f"stores.{KID}", "")
    assert caught.value.hint == "edit the settings file; polygent-issue config path prints its path"
    assert text(tmp_path) == dotted


def test_invalid_toml_cannot_be_edited(tmp_path: Path) -> None:
    """The error names the line, and the file is not changed."""
    settings_path(tmp_path).write_text("issuer\n")
    with pytest.raises(InvalidSettings, match=r"settings\.toml: invalid TOML: .* line 1"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == "issuer\n"


def test_a_file_that_would_become_too_large_is_not_written(tmp_path: Path) -> None:
    """A change that makes the file too large to be read is refused."""
    full = "#" * 65_530 + "\n"
    settings_path(tmp_path).write_text(full)
    with pytest.raises(InvalidSettings, match="larger than 65536 bytes"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == full


def test_a_value_can_be_removed(home: Path) -> None:
    """An empty text removes a value, so that its default applies."""
    set_value(home, "output", "/out")
    set_value(home, "output", "")
    assert load(home, {}).settings.output is None
    set_value(home, "operator", "Jane")
    set_value(home, "operator", "")
    assert load(home, {}).settings.operator is None
    set_value(home, f"stores.{KID}", "keyring:")
    set_value(home, f"stores.{KID}", "")
    assert load(home, {}).settings.stores == {}


def test_a_file_without_a_change_is_not_rewritten(home: Path) -> None:
    """Removing an absent value, or setting the current value, does not rewrite the file."""
    before = settings_path(home).stat().st_ino
    for key in ("output", f"stores.{KID}", "plans.gold"):
        set_value(home, key, "")
    set_value(home, "plans.trial.users", "5")
    assert text(home) == default_text()
    assert settings_path(home).stat().st_ino == before


def test_a_plan_can_be_removed_but_not_the_default_one(tmp_path: Path) -> None:
    """A shipped plan can be removed, also if the file has no plans yet."""
    set_value(tmp_path, "plans.trial", "")
    assert list(load(tmp_path, {}).settings.plans) == ["standard-annual", "enterprise-annual"]
    with pytest.raises(InvalidSettings, match="default_plan: unknown plan standard-annual"):
        set_value(tmp_path, "plans.standard-annual", "")
    with pytest.raises(InvalidSettings, match="plans: not a single value"):
        set_value(tmp_path, "plans", "")


def test_two_commands_at_once_lose_nothing(home: Path) -> None:
    """Eight keys that are stored at the same time are all in `stores` afterwards."""
    kids = [f"{n}" * 43 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda kid: set_value(home, f"stores.{kid}", "keyring:"), kids))
    assert sorted(load(home, {}).settings.stores) == kids


def test_the_wait_for_the_lock_is_limited(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that holds the lock for too long is an error of the other command."""
    monkeypatch.setattr(settings_editing, "_PATIENCE", timedelta(0))
    holder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(InvalidSettings, match="the settings are locked by another command"):
            set_value(home, "not_due", "30d")
    finally:
        os.close(holder)
    set_value(home, "not_due", "30d")
    assert load(home, {}).settings.not_due == timedelta(days=30)


def test_settings_on_a_disk_without_locks_can_be_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks refuse every lock (simulated here); the change is written anyway."""

    def refuse(_folder: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    set_value(home, "not_due", "30d")
    assert load(home, {}).settings.not_due == timedelta(days=30)


def test_a_file_that_tomlkit_cannot_parse_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If tomlkit refuses valid TOML (simulated here), the file is not changed."""

    def refuse(_text: str) -> None:
        raise tomlkit.exceptions.ParseError(1, 1)

    monkeypatch.setattr(tomlkit, "parse", refuse)
    settings_path(tmp_path).write_text('not_due = "1d"\n')
    with pytest.raises(InvalidSettings, match="not_due: cannot be changed by this command"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == 'not_due = "1d"\n'


def test_a_missing_home_is_an_output_problem(tmp_path: Path) -> None:
    """Setting a value in a missing home raises `OutputProblem`."""
    with pytest.raises(OutputProblem):
        set_value(tmp_path / "gone", "not_due", "30d")


@given(st.sampled_from(["issuer", "output", "features", "plans.trial.users"]), st.text())
def test_any_text_is_written_completely_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, typed: str
) -> None:
    """After any text the file loads, and a path is the one that was typed."""
    home = tmp_path_factory.mktemp("home")
    try:
        set_value(home, key, typed)
    except InvalidSettings:
        assert not settings_path(home).exists()
    else:
        settings = load(home, {}).settings
        if key == "output" and typed:
            assert str(settings.output) == str(Path(typed).expanduser())


def test_a_new_plan_is_a_copy(home: Path) -> None:
    """A new plan is written after the others, in their layout, and can be changed by key."""
    set_value(home, "plans.partner", "standard-annual")
    set_value(home, "plans.partner.users", "40")
    plans = load(home, {}).settings.plans
    like = plans["standard-annual"]
    limits = replace(like.limits, users=40)
    assert plans["partner"] == replace(like, name="partner", limits=limits)
    after = text(home)
    assert after.index("[plans.trial]") < after.index("[plans.partner]")
    assert after.index("[plans.partner]") < after.index("Below, in the table stores")
    set_value(home, "plans.partner", "")
    assert text(home) == default_text()
    set_value(home, "plans.trial", "")
    assert "Below, in the table stores" in text(home)


@pytest.mark.parametrize("before", ["", 'issuer = "x"\n[stores]\n', "[plans]\n"])
def test_a_new_plan_in_a_file_of_another_layout(home: Path, before: str) -> None:
    """A plan is added in any layout; a file without plans gets the shipped ones first."""
    settings_path(home).write_text(before)
    if before == "[plans]\n":
        settings_path(home).write_text(f"{plans_text()}\n")
    set_value(home, "plans.partner", "trial")
    assert list(load(home, {}).settings.plans)[-1] == "partner"


def test_the_copied_plan_must_exist(home: Path) -> None:
    """An unknown plan is not found, the hint names a similar one, and nothing is written."""
    with pytest.raises(NotFound) as caught:
        set_value(home, "plans.partner", "trail")
    assert caught.value.hint == "did you mean trial?"
    assert text(home) == default_text()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("plans.trail.users", "did you mean plans.trial.users? or {}plans.trail trial"),
        ("plans.gold.users", "{}plans.gold standard-annual"),
    ],
)
def test_the_hint_for_an_unknown_plan_works(home: Path, key: str, hint: str) -> None:
    """The hint names a similar plan, and a command that creates the plan."""
    with pytest.raises(InvalidSettings) as caught:
        set_value(home, key, "5")
    hint = hint.format("create it as a copy: polygent-issue config set ")
    assert caught.value.hint == hint
    set_value(home, *hint.split(" config set ")[1].split())
    set_value(home, key, "5")


def test_an_incomplete_plan_names_its_missing_key(home: Path) -> None:
    """The error of a plan without all keys names the next missing one."""
    with settings_path(home).open("a") as file:
        file.write('[plans.gold]\ntier = "standard"\n')
    with pytest.raises(InvalidSettings, match=r"plans\.gold\.term: missing"):
        set_value(home, "plans.gold.users", "5")


def test_the_default_text_has_the_defaults() -> None:
    """The default settings file has the default settings."""
    assert interpret(parse(default_text())) == Settings()


def test_the_default_text_sets_only_plans() -> None:
    """All keys except the plans are comments, so that later versions can change the defaults."""
    assert list(tomllib.loads(default_text())) == ["plans"]


def test_every_commented_value_is_valid() -> None:
    """A commented default without its `#` changes nothing; an example sets its key."""
    freed = re.sub(r"^# ([a-z_]+ = )", r"\1", default_text(), flags=re.MULTILINE)
    assert list(parse(freed)) == [*KEYS, "plans"]
    settings, defaults = interpret(parse(freed)), Settings()
    for name in KEYS:
        if getattr(defaults, name) is not None:
            assert getattr(settings, name) == getattr(defaults, name)
        else:
            assert getattr(settings, name) is not None
    assert settings.upload_window == timedelta(days=7)


def test_every_key_has_a_description() -> None:
    """Each key has one comment line above it, which is longer than a name."""
    lines = default_text().splitlines()
    for name in KEYS:
        place = next(n for n, line in enumerate(lines) if line.startswith(f"# {name} = "))
        assert re.fullmatch(r"# [A-Z].{15,}\.", lines[place - 1]), name
        assert lines[place + 1] == ""


def test_no_line_is_wider_than_a_screen() -> None:
    """No line has more than 100 columns, or white space at its end."""
    for line in default_text().splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


def test_the_values_of_init_are_set() -> None:
    """Each value replaces its commented default."""
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
    about = KEYS["upload_window"].about
    assert f'# {about[0].upper()}{about[1:]}.\nupload_window = "3d"\n' in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"isuer": "x"}, "isuer: unknown setting"),
        ({"issuer": ""}, "issuer: must have 1 to 200 characters, has 0"),
        ({"issuer": "a\nb"}, r"issuer: character U\+000A is not allowed"),
        ({"upload_window": "soon"}, "upload_window: not a duration: soon"),
        ({"default_plan": "gold"}, "default_plan: unknown plan gold"),
        ({"stores": "x"}, "stores: must be stores.KID"),
    ],
)
def test_an_invalid_value_of_init_is_refused(values: dict[str, str], message: str) -> None:
    """An unknown key or an invalid value raises an error."""
    with pytest.raises(InvalidSettings, match=message):
        default_text(**values)


def test_the_default_text_loads_from_a_home(tmp_path: Path) -> None:
    """A file with the default text can be loaded."""
    settings_path(tmp_path).write_text(default_text(issuer="Müller"), encoding="utf-8")
    assert load(tmp_path, {}).settings.issuer == "Müller"


def test_a_new_plan_goes_before_the_stores_comment_of_an_earlier_version(tmp_path: Path) -> None:
    """A file that an earlier version wrote has another comment before `stores`."""
    earlier = re.sub(r"(the table stores, ).*", r"\1key generate notes them.", default_text())
    settings_path(tmp_path).write_text(earlier, encoding="utf-8")
    set_value(tmp_path, "plans.partner", "trial")
    after = text(tmp_path)
    assert after.index("[plans.partner]") < after.index("key generate notes them.")
