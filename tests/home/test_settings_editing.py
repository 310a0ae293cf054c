"""Editing: one value changes, comments stay, and what would not load is never written."""

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
from polygent_issuer.home.settings import KEYS, Settings, interpret, load, parse, settings_path
from polygent_issuer.home.settings_editing import default_text, plans_text, set_value

KID = "x1_-" + "A" * 39
BY_HAND = """\
# mine
issuer = "Acme"   # as in the contract

not_due = "30d"

[stores]   # where keys lie
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the file that `init` writes."""
    settings_path(tmp_path).write_text(default_text(), encoding="utf-8")
    return tmp_path


def text(home: Path) -> str:
    """The settings file as it stands, line breaks included."""
    return settings_path(home).read_bytes().decode()


def comments(home: Path) -> list[str]:
    """Every comment line of the settings file."""
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
    """The value has the key's own type; nothing else in the file changes."""
    before = tomllib.loads(text(home))
    set_value(home, key, typed)
    inner = before
    *outer, last = key.split(".")
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = written
    assert tomllib.loads(text(home)) == before
    load(home, {})


def test_a_value_stands_in_the_place_of_its_comment(home: Path) -> None:
    """The explanation above it stays, the commented default goes."""
    set_value(home, "not_due", "60d")
    assert '# A renewal further ahead of the expiry needs consent.\nnot_due = "60d"\n' in text(home)
    assert "# not_due" not in text(home)
    assert text(home).replace('not_due = "60d"', '# not_due = "90d"') == default_text()


def test_comments_and_order_stay(tmp_path: Path) -> None:
    """A file that somebody wrote by hand keeps her hand."""
    settings_path(tmp_path).write_text(BY_HAND)
    set_value(tmp_path, "issuer", "Globex")
    set_value(tmp_path, f"stores.{KID}", "keyring:")
    assert text(tmp_path) == BY_HAND.replace("Acme", "Globex") + f'{KID} = "keyring:"\n'


def test_a_new_key_goes_before_the_tables(tmp_path: Path) -> None:
    """After a table's header it would belong to the table."""
    settings_path(tmp_path).write_text(BY_HAND)
    set_value(tmp_path, "operator", "Jane")
    assert load(tmp_path, {}).settings.operator == "Jane"
    assert all(line in text(tmp_path) for line in BY_HAND.splitlines())


def test_setting_twice_keeps_one(home: Path) -> None:
    """The second value replaces the first; every comment is still there."""
    kept = [line for line in comments(home) if not line.startswith("# output")]
    for folder in ("/a", "/b"):
        set_value(home, "output", folder)
    assert load(home, {}).settings.output == Path("/b")
    assert comments(home) == kept


def test_windows_line_breaks_stay(tmp_path: Path) -> None:
    """An editor on Windows finds its own file again."""
    settings_path(tmp_path).write_bytes(b'# issuer = "x"\r\nnot_due = "1d"\r\n')
    set_value(tmp_path, "issuer", "Acme")
    set_value(tmp_path, "not_due", "2d")
    assert settings_path(tmp_path).read_bytes() == b'issuer = "Acme"\r\nnot_due = "2d"\r\n'


def test_a_comment_within_a_text_is_no_place(tmp_path: Path) -> None:
    """What looks like a commented default may be a value: it is left alone."""
    odd = 'issuer = """Acme\\\n# output = "/x"\\\n"""\n'
    settings_path(tmp_path).write_text(odd)
    set_value(tmp_path, "output", "/out")
    assert text(tmp_path) == odd + 'output = "/out"\n'


def test_two_commented_lines_are_no_place(tmp_path: Path) -> None:
    """Which of them is meant cannot be known, so both stay."""
    settings_path(tmp_path).write_text('# lapsed = "1d"\n# lapsed = "2d"\n')
    set_value(tmp_path, "lapsed", "3d")
    assert sorted(text(tmp_path).split("\n")) == [
        "",
        '# lapsed = "1d"',
        '# lapsed = "2d"',
        'lapsed = "3d"',
    ]


def test_a_commented_line_beside_a_value_stays(tmp_path: Path) -> None:
    """The value is changed where it is, not doubled."""
    settings_path(tmp_path).write_text('# not_due = "90d"\nnot_due = "1d"\n')
    set_value(tmp_path, "not_due", "2d")
    assert text(tmp_path) == '# not_due = "90d"\nnot_due = "2d"\n'


def test_without_a_file_one_is_made(tmp_path: Path) -> None:
    """A value can be set before anybody wrote settings."""
    set_value(tmp_path, "not_due", "30d")
    assert load(tmp_path, {}).settings == Settings(not_due=timedelta(days=30))


def test_a_plan_that_ships_can_be_changed_without_being_in_the_file(tmp_path: Path) -> None:
    """All shipped plans are written down, so that the others stay."""
    set_value(tmp_path, "plans.trial.users", "9")
    plans = load(tmp_path, {}).settings.plans
    assert list(plans) == list(Settings().plans)
    assert plans["trial"].limits.users == 9
    assert plans["standard-annual"] == Settings().plans["standard-annual"]


def test_the_file_stays_private(home: Path) -> None:
    """0600 also where it was not."""
    settings_path(home).chmod(0o644)
    set_value(home, "not_due", "30d")
    assert stat.S_IMODE(settings_path(home).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["settings.toml"]


def test_a_link_stays_a_link(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who keeps her settings elsewhere finds the change there."""
    elsewhere = tmp_path_factory.mktemp("dotfiles") / "issuer.toml"
    settings_path(home).rename(elsewhere)
    settings_path(home).symlink_to(elsewhere)
    set_value(home, "not_due", "30d")
    assert settings_path(home).is_symlink()
    assert 'not_due = "30d"' in elsewhere.read_text()


@pytest.mark.parametrize(
    ("key", "typed", "message"),
    [
        ("isuer", "x", "isuer: there is no such setting"),
        ("issuer.name", "x", "issuer.name: issuer is a single value"),
        ("", "x", ": there is no such setting"),
        ("stores", "keyring:", "stores: must be stores. and a key's kid"),
        ("stores.kid", "keyring:", "stores.kid: must be stores. and a key's kid"),
        (f"stores.{KID}.x", "keyring:", f"stores.{KID}.x: must be stores. and a key's kid"),
        (f"stores.{KID}", "vault:", f"stores.{KID}: not a key store: vault:"),
        ("plans", "x", "plans: is no single value"),
        ("plans.trial", "standard-annual", "plans.trial: there is such a plan already"),
        ("plans.Gold", "trial", "plans.Gold: not a plan's name"),
        ("plans.a.b.c", "trial", "plans.a.b.c: is no single value"),
        ("plans.trial.user", "x", "plans.trial.user: there is no such setting"),
        ("plans.gold.users", "5", "plans.gold: there is no such plan"),
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
        ("features", "a,,b", "features: not a feature's name: "),
        ("features", '["a"]\nissuer = "x"', "features: not a list"),
        ("features", "[a", "features: not a list"),
        ("features", "[" * 5000, "features: not a list"),
        ("default_plan", "gold", "default_plan: there is no plan gold"),
        ("not_due", "soon", "not_due: not a length of time: soon"),
        ("issuer", "a\x1b[31m", r"issuer: character U\+001B is not allowed"),
        ("mail_from", "a@b, c@d", "mail_from: not a mail address: a@b, c@d"),
        ("output", "here", "output: not the whole path of a folder: here"),
    ],
)
def test_what_would_not_load_is_not_written(home: Path, key: str, typed: str, message: str) -> None:
    """Refused by the dotted path, and the file is as it was."""
    with pytest.raises(InvalidSettings, match=message) as caught:
        set_value(home, key, typed)
    assert "\x1b" not in caught.value.message
    assert caught.value.__cause__ is None
    assert text(home) == default_text()


def test_what_was_typed_is_not_blamed_on_the_file(home: Path) -> None:
    """A value that never got there is refused without the file's name."""
    with pytest.raises(InvalidSettings) as caught:
        set_value(home, "not_due", "soon")
    assert caught.value.message == "not_due: not a length of time: soon"


def test_a_file_that_another_value_breaks_is_not_written(tmp_path: Path) -> None:
    """The refusal names the file and what is wrong in it."""
    settings_path(tmp_path).write_text('lapsed = "x"\n')
    with pytest.raises(InvalidSettings, match=r"settings\.toml: lapsed: not a length of time"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == 'lapsed = "x"\n'


def test_the_broken_value_itself_can_be_mended(tmp_path: Path) -> None:
    """`config set` is a way out of a file that does not load."""
    settings_path(tmp_path).write_text('lapsed = "x"\n')
    set_value(tmp_path, "lapsed", "30d")
    assert text(tmp_path) == 'lapsed = "30d"\n'


def test_a_value_of_the_wrong_type_can_be_mended(tmp_path: Path) -> None:
    """`true` is no 1: the value is written even where a comparison would call them equal."""
    set_value(tmp_path, "plans.trial.users", "9")
    broken = text(tmp_path).replace("users = 9", "users = true")
    settings_path(tmp_path).write_text(broken)
    set_value(tmp_path, "plans.trial.users", "1")
    assert load(tmp_path, {}).settings.plans["trial"].limits.users == 1


def test_what_cannot_be_changed_alone_is_left_to_a_person(tmp_path: Path) -> None:
    """The text that was made is read again: an edit that missed its aim is not written."""
    dotted = f'stores.{KID} = "keyring:"\n'
    settings_path(tmp_path).write_text(dotted)
    with pytest.raises(InvalidSettings, match=f"stores.{KID}: cannot be changed") as caught:
        set_value(tmp_path, f"stores.{KID}", "")
    assert caught.value.hint == "edit the file; polygent-issue config path names it"
    assert text(tmp_path) == dotted


def test_no_toml_cannot_be_edited(tmp_path: Path) -> None:
    """The line is named, the file stays."""
    settings_path(tmp_path).write_text("issuer\n")
    with pytest.raises(InvalidSettings, match=r"settings\.toml: not TOML: .* line 1"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == "issuer\n"


def test_a_file_that_would_grow_too_large_is_not_written(tmp_path: Path) -> None:
    """What can be written can be read again."""
    full = "#" * 65_530 + "\n"
    settings_path(tmp_path).write_text(full)
    with pytest.raises(InvalidSettings, match="larger than 65536 bytes"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == full


def test_a_value_can_be_taken_away(home: Path) -> None:
    """The empty text: then the default holds again."""
    set_value(home, "output", "/out")
    set_value(home, "output", "")
    assert load(home, {}).settings.output is None
    set_value(home, "operator", "Jane")
    set_value(home, "operator", "")
    assert load(home, {}).settings.operator is None
    set_value(home, f"stores.{KID}", "keyring:")
    set_value(home, f"stores.{KID}", "")
    assert load(home, {}).settings.stores == {}


def test_taking_away_what_is_not_there_changes_nothing(home: Path) -> None:
    """Nor does setting what is so already: the file is not even rewritten."""
    before = settings_path(home).stat().st_ino
    for key in ("output", f"stores.{KID}", "plans.gold"):
        set_value(home, key, "")
    set_value(home, "plans.trial.users", "5")
    assert text(home) == default_text()
    assert settings_path(home).stat().st_ino == before


def test_a_plan_can_be_taken_away_but_not_the_default_one(tmp_path: Path) -> None:
    """Also where the shipped plans were not written down yet."""
    set_value(tmp_path, "plans.trial", "")
    assert list(load(tmp_path, {}).settings.plans) == ["standard-annual", "enterprise-annual"]
    with pytest.raises(InvalidSettings, match="default_plan: there is no plan standard-annual"):
        set_value(tmp_path, "plans.standard-annual", "")
    with pytest.raises(InvalidSettings, match="plans: is no single value"):
        set_value(tmp_path, "plans", "")


def test_two_commands_at_once_lose_nothing(home: Path) -> None:
    """Eight keys made at the same time are all found in `stores`."""
    kids = [f"{n}" * 43 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda kid: set_value(home, f"stores.{kid}", "keyring:"), kids))
    assert sorted(load(home, {}).settings.stores) == kids


def test_a_command_that_never_ends_is_not_waited_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end, here a short one."""
    monkeypatch.setattr(settings_editing, "_ATTEMPTS", 2)
    monkeypatch.setattr(settings_editing, "_PAUSE", 0)
    holder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(InvalidSettings, match="another command is changing the settings"):
            set_value(home, "not_due", "30d")
    finally:
        os.close(holder)
    set_value(home, "not_due", "30d")
    assert load(home, {}).settings.not_due == timedelta(days=30)


def test_a_disk_without_locks_is_written_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks refuse every lock; the refusal is what this test fakes."""

    def refuse(_folder: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    set_value(home, "not_due", "30d")
    assert load(home, {}).settings.not_due == timedelta(days=30)


def test_what_the_editor_cannot_read_is_left_to_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library that keeps comments may refuse what is TOML; its error is what is faked."""

    def refuse(_text: str) -> None:
        raise tomlkit.exceptions.ParseError(1, 1)

    monkeypatch.setattr(tomlkit, "parse", refuse)
    settings_path(tmp_path).write_text('not_due = "1d"\n')
    with pytest.raises(InvalidSettings, match="not_due: cannot be changed here"):
        set_value(tmp_path, "not_due", "30d")
    assert text(tmp_path) == 'not_due = "1d"\n'


def test_a_home_that_is_gone_is_our_error(tmp_path: Path) -> None:
    """Nothing foreign is raised where nothing can be written."""
    with pytest.raises(OutputProblem):
        set_value(tmp_path / "gone", "not_due", "30d")


@given(st.sampled_from(["issuer", "output", "features", "plans.trial.users"]), st.text())
def test_any_text_is_taken_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: str, typed: str
) -> None:
    """Whatever is typed, the file loads afterwards; a name comes back as it was typed."""
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
    """Written beside the others as `init` writes one; then it is changed key by key."""
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
def test_a_new_plan_in_a_file_of_one_s_own(home: Path, before: str) -> None:
    """Whatever its layout is; the shipped plans are written down first, if there are none."""
    settings_path(home).write_text(before)
    if before == "[plans]\n":
        settings_path(home).write_text(f"{plans_text()}\n")
    set_value(home, "plans.partner", "trial")
    assert list(load(home, {}).settings.plans)[-1] == "partner"


def test_a_plan_that_is_copied_must_exist(home: Path) -> None:
    """Exit 5 with the nearest name; nothing is written."""
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
def test_a_key_of_no_plan_leads_to_one(home: Path, key: str, hint: str) -> None:
    """To the plan that was meant, and to a new one; the command works as printed."""
    with pytest.raises(InvalidSettings) as caught:
        set_value(home, key, "5")
    hint = hint.format("begin it as a copy of another: polygent-issue config set ")
    assert caught.value.hint == hint
    set_value(home, *hint.split(" config set ")[1].split())
    set_value(home, key, "5")


def test_a_plan_that_is_not_whole_is_mended_key_by_key(home: Path) -> None:
    """One that somebody began by hand."""
    with settings_path(home).open("a") as file:
        file.write('[plans.gold]\ntier = "standard"\n')
    with pytest.raises(InvalidSettings, match=r"plans\.gold\.term: missing"):
        set_value(home, "plans.gold.users", "5")


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
