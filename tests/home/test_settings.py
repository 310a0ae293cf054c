"""Loading the settings: defaults, file and environment; checks and sources of the values."""

import codecs
import os
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import ExitCode, InvalidSettings, NotFound
from polygent_issuer.files.reading import TRUST_GROUP, UnsafeFile
from polygent_issuer.home.folder import parse
from polygent_issuer.home.settings import Settings, Where, interpret, load, settings_path
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import Plan
from polygent_issuer.text import BACKSLASH, escape
from polygent_issuer.verifier import Tier
from polygent_issuer.verifier.license import Limits

KID = "x1_-" + "A" * 39
PLAN = """
[plans.gold]
tier = "enterprise"
term = "6mo"
users = 3
session_hosts = 2
deploy_hosts = 0
features = ["sso-saml", "bots"]
"""


def written(home: Path, text: str | bytes) -> Path:
    """Write the settings file of a home; return the home."""
    data = text.encode() if isinstance(text, str) else text
    settings_path(home).write_bytes(data)
    return home


def refusal(home: Path, text: str | bytes) -> InvalidSettings:
    """Return the error for a settings file, which has no cause that could contain its text."""
    with pytest.raises(InvalidSettings) as caught:
        load(written(home, text), {})
    assert caught.value.exit_code is ExitCode.INPUT
    assert caught.value.__cause__ is None
    return caught.value


def test_without_a_file_the_defaults_apply(tmp_path: Path) -> None:
    """Each setting has its documented default."""
    settings = load(tmp_path, {}).settings
    assert settings == Settings()
    assert settings.issuer == "polygent-operator"
    assert settings.operator is None
    assert settings.machine_info_max_age == timedelta(days=14)
    assert settings.long_term == Term(years=3)
    assert settings.not_due == timedelta(days=90)
    assert settings.lapsed == timedelta(days=90)
    assert settings.store == "keyring:"
    assert settings.stores == {}
    assert settings.key_backup_folder is None
    assert settings.output is None
    assert settings.mail_from is None
    assert settings.default_plan == "standard-annual"
    assert settings.features == ()
    assert settings.keyring_timeout == timedelta(seconds=20)


def test_an_unset_upload_window_is_assumed(tmp_path: Path) -> None:
    """An unset upload window counts as 7 days and is marked as assumed."""
    assumed = load(tmp_path, {}).settings
    assert assumed.upload_window is None
    assert assumed.upload_window_or_assumed == timedelta(days=7)
    assert assumed.upload_window_is_assumed
    settings = load(written(tmp_path, 'upload_window = "7d"'), {}).settings
    assert settings.upload_window_or_assumed == timedelta(days=7)
    assert not settings.upload_window_is_assumed
    settings = load(written(tmp_path, 'upload_window = "36h"'), {}).settings
    assert settings.upload_window_or_assumed == timedelta(hours=36)


def test_the_shipped_plans(tmp_path: Path) -> None:
    """The shipped plans are a standard and an enterprise year, and a trial."""
    plans = load(tmp_path, {}).settings.plans
    assert list(plans) == ["standard-annual", "enterprise-annual", "trial"]
    assert {n: (p.tier, str(p.term), p.renewable) for n, p in plans.items()} == {
        "standard-annual": (Tier.STANDARD, "1y", True),
        "enterprise-annual": (Tier.ENTERPRISE, "1y", True),
        "trial": (Tier.STANDARD, "30d", False),
    }
    assert "sso-saml" in plans["enterprise-annual"].features


def test_every_key_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key of the file sets the setting of the same name."""
    monkeypatch.setenv("HOME", "/home/jane")
    text = f"""
issuer = "Acme"
operator = "Jane"
upload_window = "3d"
machine_info_max_age = "2w"
long_term = "18mo"
not_due = "30d"
lapsed = "10d"
store = "file:/keys/"
key_backup_folder = "~/backup"
output = "/out"
mail_from = "Licensing <licenses@polygent.example>"
default_plan = "gold"
features = ["quantum"]
keyring_timeout = "5s"
[stores]
{KID} = "keyring"
{PLAN}
"""
    assert load(written(tmp_path, text), {}).settings == Settings(
        issuer="Acme",
        operator="Jane",
        upload_window=timedelta(days=3),
        machine_info_max_age=timedelta(days=14),
        long_term=Term(months=18),
        not_due=timedelta(days=30),
        lapsed=timedelta(days=10),
        store="file:/keys/",
        stores={KID: "keyring:"},
        key_backup_folder=Path("/home/jane/backup"),
        output=Path("/out"),
        mail_from="Licensing <licenses@polygent.example>",
        default_plan="gold",
        plans={
            "gold": Plan(
                name="gold",
                tier=Tier.ENTERPRISE,
                features=("sso-saml", "bots"),
                limits=Limits(users=3, session_hosts=2, deploy_hosts=0),
                term=Term(months=6),
                renewable=True,
            )
        },
        features=("quantum",),
        keyring_timeout=timedelta(seconds=5),
    )


def test_plans_of_the_file_replace_the_shipped_ones(tmp_path: Path) -> None:
    """A file with plans has only these plans."""
    settings = load(written(tmp_path, 'default_plan = "gold"' + PLAN), {}).settings
    assert list(settings.plans) == ["gold"]


def test_names_are_normalized(tmp_path: Path) -> None:
    """Names are normalized to NFC (FORMAT §1)."""
    settings = load(written(tmp_path, 'issuer = "Mu\u0308ller"'), {}).settings
    assert settings.issuer == "M\u00fcller"


def test_a_plan_may_have_a_feature_of_a_newer_module(tmp_path: Path) -> None:
    """A feature that the setting `features` names is in the catalogue, and allowed in plans."""
    text = 'default_plan = "gold"\nfeatures = ["quantum"]' + PLAN.replace("bots", "quantum")
    settings = load(written(tmp_path, text), {}).settings
    assert settings.plans["gold"].features == ("sso-saml", "quantum")
    assert "quantum" in settings.catalogue.names


def test_every_entry_has_a_source(tmp_path: Path) -> None:
    """Each entry names its source: default, file or environment."""
    text = f'default_plan = "gold"\noperator = "Jane"\n[stores]\n{KID} = "keyring:"\n{PLAN}'
    loaded = load(written(tmp_path, text), {"POLYGENT_ISSUER_OPERATOR": "Bob"})
    origins = {key: (entry.where, entry.detail) for key, entry in loaded.entries.items()}
    file = (Where.FILE, str(tmp_path / "settings.toml"))
    default = (Where.DEFAULT, "")
    assert origins["default_plan"] == file
    assert origins["issuer"] == default
    assert origins["upload_window"] == default
    assert origins[f"stores.{KID}"] == file
    assert origins["plans.gold.users"] == file
    assert origins["plans.gold.renewable"] == default
    assert origins["operator"] == (Where.ENVIRONMENT, "POLYGENT_ISSUER_OPERATOR")
    assert all(entry.key == key for key, entry in loaded.entries.items())
    assert list(loaded.entries) == [
        "issuer",
        "operator",
        "upload_window",
        "machine_info_max_age",
        "long_term",
        "not_due",
        "lapsed",
        "store",
        "key_backup_folder",
        "output",
        "mail_from",
        "default_plan",
        "features",
        "require_order_id",
        "registry",
        "keyring_timeout",
        f"stores.{KID}",
        "plans.gold.tier",
        "plans.gold.term",
        "plans.gold.renewable",
        "plans.gold.users",
        "plans.gold.session_hosts",
        "plans.gold.deploy_hosts",
        "plans.gold.features",
    ]


def test_the_shipped_plans_are_defaults(tmp_path: Path) -> None:
    """The source of a shipped plan's values is the default."""
    loaded = load(written(tmp_path, 'issuer = "Acme"'), {})
    assert loaded.entries["plans.trial.users"].where is Where.DEFAULT


def test_entries_show_values_as_they_are_typed(tmp_path: Path) -> None:
    """The text of a value is what `config set` takes."""
    text = 'default_plan = "gold"\nfeatures = ["x", "y"]\nnot_due = "48h"\n' + PLAN
    values = load(written(tmp_path, text), {}).texts
    assert values["not_due"] == "2d"
    assert values["features"] == "x,y"
    assert values["plans.gold.renewable"] == "true"
    assert values["plans.gold.users"] == "3"
    assert values["plans.gold.tier"] == "enterprise"
    assert values["plans.gold.features"] == "sso-saml,bots"
    assert values["operator"] is None


def test_the_environment_names_the_operator(tmp_path: Path) -> None:
    """`POLYGENT_ISSUER_OPERATOR` overrides the file, and is normalized as well."""
    home = written(tmp_path, 'operator = "Jane"')
    environ = {"POLYGENT_ISSUER_OPERATOR": "Zoe\u0308"}
    assert load(home, environ).settings.operator == "Zo\u00eb"
    assert load(home, {}).settings.operator == "Jane"


@pytest.mark.parametrize("name", ["", " Jane", "Ja\x1bne", "x" * 201, "\udcff"])
def test_an_operator_from_the_environment_is_checked(tmp_path: Path, name: str) -> None:
    """An operator from the environment is checked like one from the file."""
    with pytest.raises(InvalidSettings, match=r"^POLYGENT_ISSUER_OPERATOR: "):
        load(tmp_path, {"POLYGENT_ISSUER_OPERATOR": name})


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ('isuer = "x"', "isuer", "did you mean issuer?"),
        ('not-due = "1d"', "not-due", "did you mean not_due?"),
        ('Store = "keyring:"', "Store", "did you mean store?"),
        ("[plan.x]\n", "plan", "did you mean plans?"),
        ("xyzzy = 1", "xyzzy", None),
        (PLAN + "user = 3", "plans.gold.user", "did you mean plans.gold.users?"),
        (PLAN + "limits.users = 3", "plans.gold.limits", None),
    ],
)
def test_an_unknown_key_is_refused(tmp_path: Path, text: str, path: str, hint: str | None) -> None:
    """The error has the dotted path of the key, and a hint with a similar key or with all keys."""
    error = refusal(tmp_path, text)
    assert error.message == f"{tmp_path / 'settings.toml'}: {path}: unknown setting"
    if hint is None:
        assert (error.hint or "").startswith("known settings: ")
    else:
        assert error.hint == hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("issuer = 5", "issuer: must be a text, not a whole number"),
        ("operator = true", "operator: must be a text, not true or false"),
        ('operator = ""', "operator: must have 1 to 200 characters, has 0"),
        ('issuer = "a\\u202eb"', "issuer: character U+202E is not allowed"),
        ("not_due = 90", "not_due: must be a text, not a whole number"),
        ('not_due = "90"', "not_due: not a duration: 90"),
        ('lapsed = "0d"', "lapsed: not a duration: 0d"),
        ('upload_window = "-1d"', "upload_window: not a duration: -1d"),
        ("upload_window = 1979-05-27", "upload_window: must be a text, not a date or time"),
        ('machine_info_max_age = "36526d"', "machine_info_max_age: longer than 100 years"),
        ('keyring_timeout = "61m"', "keyring_timeout: must be at most 1h"),
        ('long_term = "3"', "long_term: not a term: 3"),
        ("long_term = 3", "long_term: must be a text, not a whole number"),
        ('long_term = "101y"', "long_term: must be at most 100 years"),
        ('long_term = "1201mo"', "long_term: must be at most 100 years"),
        ('long_term = "36526d"', "long_term: must be at most 100 years"),
        ('store = "gopher:x"', "store: not a key store: gopher:x"),
        ('store = "file:keys"', "store: not the absolute path of a file: keys"),
        ('output = "licenses"', "output: not the absolute path of a folder: licenses"),
        ('output = ""', "output: not the absolute path of a folder: "),
        ('mail_from = "Ada"', "mail_from: not an email address: Ada"),
        (
            'mail_from = "=?utf-8?q?=0ABcc=3At?= <a@x.example>"',
            "mail_from: not an email address: =?utf-8?q?=0ABcc=3At?= <a@x.example>",
        ),
        ("mail_from = []", "mail_from: must be a text, not a list"),
        ("output = []", "output: must be a text, not a list"),
        (
            'key_backup_folder = "~no-such-user"',
            "key_backup_folder: unknown user in path",
        ),
        ('features = "bots"', "features: must be a list, not a text"),
        ('features = ["Bots"]', "features: not a feature name: Bots"),
        ("features = [1]", "features: must be a text, not a whole number"),
        ("stores = 5", "stores: must be a table, not a whole number"),
        (f'[stores]\n{KID} = "x"', f"stores.{KID}: not a key store: x"),
        ('[stores]\nkey = "keyring:"', "stores.key: not the kid of a key"),
        ('default_plan = "standart-annual"', "default_plan: unknown plan standart-annual"),
        ('default_plan = "A B"', "default_plan: not a plan name: A B"),
        (PLAN, "default_plan: unknown plan standard-annual"),
        ("plans = []", "plans: must be a table, not a list"),
        ("plans.x = 5", "plans.x: must be a table, not a whole number"),
        ("[plans.Gold]", "plans.Gold: not a plan name"),
        ('[plans."a\\u001bb"]', "plans.a\\x1bb: not a plan name"),
        (PLAN.replace('term = "6mo"', ""), "plans.gold.term: missing"),
        (PLAN.replace("6mo", "6m"), "plans.gold.term: not a term: 6m"),
        (PLAN.replace('"enterprise"', '"gold"'), "plans.gold.tier: unknown tier: gold"),
        (PLAN.replace("= 3", "= true"), "plans.gold.users: must be a whole number, not true"),
        (PLAN.replace("= 3", "= 3.0"), "plans.gold.users: must be a whole number, not a number"),
        (PLAN.replace("= 3", "= 0"), "plans.gold.users: users must be 1 to 1,000,000, not 0"),
        (
            PLAN.replace("= 2", "= -1"),
            "plans.gold.session_hosts: session hosts must be 0 to 1,000,000, not -1",
        ),
        (PLAN + 'renewable = "no"', "plans.gold.renewable: must be true or false, not a text"),
        (PLAN.replace("bots", "bits"), "plans.gold.features: unknown feature bits"),
        (
            PLAN.replace("enterprise", "standard"),
            "plans.gold.features: a standard license cannot have sso-saml",
        ),
    ],
)
def test_the_error_of_a_value_names_its_path(tmp_path: Path, text: str, message: str) -> None:
    """The error of an invalid value names the file, the dotted key and the reason."""
    error = refusal(tmp_path, text)
    assert error.message.startswith(f"{tmp_path / 'settings.toml'}: {message}")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("issuer = 5", 'write it as "Acme Licensing"'),
        ("not_due = 90", 'write it as "7d"'),
        ('long_term = "3"', "write it as 1y, 6mo or 90d"),
        ('output = "x"', "begin it with / or ~/"),
        ('default_plan = "standart-annual"', "did you mean standard-annual?"),
        ('default_plan = "xyzzy"', "plans: standard-annual, enterprise-annual, trial"),
        ("plans = {}", "plans: none"),
        (r'output = "C:\Users\ada"', BACKSLASH),
        (r'output = "C:\new"', BACKSLASH),
        ('output = "C:\\', BACKSLASH),
        (r'store = "file:C:\temp\keys"', BACKSLASH),
        (
            "# C:\\Keys\nissuer = ",
            "edit the settings file; polygent-issue config path prints its path",
        ),
        (PLAN.replace("bots", "bits"), "did you mean bots?"),
        (PLAN.replace("bots", "xyzzy"), "add newer modules to the setting features first"),
        (PLAN.replace('term = "6mo"', ""), 'add term = "1y"'),
    ],
)
def test_the_hint_shows_a_valid_value(tmp_path: Path, text: str, hint: str) -> None:
    """The hint shows how to write a valid value."""
    assert refusal(tmp_path, text).hint == hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"issuer = ", "invalid TOML: invalid value (at "),
        (
            b'\n\nissuer = "x" y',
            "invalid TOML: expected newline or end of document",
        ),
        (b'issuer = "a\x1b"', "invalid TOML: illegal character '\\x1b' (at line 1, column 12)"),
        (b'issuer = "x"\nissuer = "y"', "invalid TOML: cannot overwrite a value (at "),
        (b"x = " + b"[" * 5000, "invalid TOML: nested too deeply"),
        (b"x = " + b"9" * 5000, "invalid TOML: "),
    ],
)
def test_invalid_toml_is_refused_with_its_line(tmp_path: Path, data: bytes, message: str) -> None:
    """The error of invalid TOML names the line, and contains no raw control character."""
    error = refusal(tmp_path, data)
    assert error.message.startswith(f"{tmp_path / 'settings.toml'}: {message}")
    assert "\x1b" not in error.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'issuer = "x"\n# \xff\xfe', "line 2 is not UTF-8"),
        (b'issuer = "x"\n# \0', "line 2 has a NUL character"),
        ("issuer = 'x'".encode("utf-16"), "it is in UTF-16"),
        ("issuer = 'x'".encode("utf-16-le"), "it is in UTF-16"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    """A file in another encoding is refused; the hint names UTF-8."""
    error = refusal(tmp_path, data)
    assert error.message == f"cannot read the settings file {tmp_path}/settings.toml: {message}"
    assert error.hint == "save it as UTF-8"


def test_the_line_of_an_error_is_named(tmp_path: Path) -> None:
    """Lines and columns are counted from 1, as in editors."""
    assert "(at line 3, column 14)" in refusal(tmp_path, b'\n\nissuer = "x" y').message


def test_a_byte_order_mark_and_windows_line_breaks_are_read(tmp_path: Path) -> None:
    """A byte order mark and CRLF line ends are accepted."""
    data = codecs.BOM_UTF8 + b'issuer = "Acme"\r\noperator = "Jane"\r\n'
    settings = load(written(tmp_path, data), {}).settings
    assert (settings.issuer, settings.operator) == ("Acme", "Jane")


def test_a_file_of_64_kib_is_read_and_one_byte_more_refused(tmp_path: Path) -> None:
    """A settings file has at most 64 KiB."""
    assert load(written(tmp_path, b"#" * 65_536), {}).settings == Settings()
    assert "larger than 65536 bytes" in refusal(tmp_path, b"#" * 65_537).message


def test_a_folder_or_a_dead_link_in_its_place_is_refused(tmp_path: Path) -> None:
    """A settings file that cannot be read does not count as missing."""
    settings_path(tmp_path).mkdir()
    with pytest.raises(InvalidSettings, match="it is a folder"):
        load(tmp_path, {})
    settings_path(tmp_path).rmdir()
    settings_path(tmp_path).symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidSettings, match="cannot read the settings file"):
        load(tmp_path, {})
    with pytest.raises(InvalidSettings):
        load(tmp_path / ("x" * 5000), {})


def test_settings_are_immutable() -> None:
    """Settings and their tables are frozen, because the defaults are shared."""
    settings = Settings()
    assert isinstance(settings.plans, MappingProxyType)
    assert isinstance(settings.stores, MappingProxyType)
    with pytest.raises(AttributeError):
        settings.issuer = "x"  # type: ignore[misc]


def test_a_plan_is_found_by_its_name() -> None:
    """An unknown plan is not found; the hint names a similar plan, or all plans."""
    settings = Settings()
    assert settings.plan("trial").name == "trial"
    with pytest.raises(NotFound, match="unknown plan trail") as caught:
        settings.plan("trail")
    assert caught.value.hint == "did you mean trial?"
    with pytest.raises(NotFound) as caught:
        settings.plan("xyzzy")
    assert caught.value.hint == "plans: enterprise-annual, standard-annual, trial"


def test_a_plan_is_found_by_its_tier() -> None:
    """`plan_for` returns the default plan or a renewable one of the tier, never a trial."""
    settings = Settings()
    assert settings.plan_for(None).name == "standard-annual"
    assert settings.plan_for(Tier.STANDARD).name == "standard-annual"
    assert settings.plan_for(Tier.ENTERPRISE).name == "enterprise-annual"
    trial = Settings(
        default_plan="enterprise-annual", plans=dict(reversed([*settings.plans.items()]))
    )
    assert trial.plan_for(Tier.STANDARD).name == "standard-annual"
    assert trial.plan_for(None).name == "enterprise-annual"
    few = Settings(plans={"standard-annual": settings.plans["standard-annual"]})
    with pytest.raises(NotFound, match="no plan has the tier enterprise"):
        few.plan_for(Tier.ENTERPRISE)


toml_values = st.recursive(
    st.none().map(lambda _: "x") | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.text() | st.sampled_from(["issuer", "not_due", "stores", "plans", "features", "output"])


@given(st.dictionaries(keys, toml_values, max_size=4))
def test_any_document_is_read_or_refused(document: dict[str, object]) -> None:
    """A TOML document is read or raises `InvalidSettings`."""
    try:
        assert isinstance(interpret(document), Settings)
    except InvalidSettings as refused:
        assert escape(refused.message) == refused.message  # noqa: PT017 - an error is allowed


@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "replace")))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """A text is parsed or raises `InvalidSettings`."""
    try:
        assert isinstance(parse(text), dict)
    except InvalidSettings as refused:
        assert escape(refused.message) == refused.message  # noqa: PT017 - an error is allowed


@pytest.mark.parametrize("line", ["store = {uri}", "[stores]\n{kid} = {uri}"])
def test_no_group_may_write_to_a_file_that_names_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """A trusted group decides what is signed, but not which programs this user runs."""
    monkeypatch.setenv(TRUST_GROUP, str(os.getegid()))
    for option, refused in (("token-file=/t", False), ("version=1&token-command=/bin/t", True)):
        text = line.format(kid=KID, uri=f'"vault:transit/k?{option}"')
        path = settings_path(written(tmp_path, text))
        path.chmod(0o660)
        if refused:
            with pytest.raises(UnsafeFile, match="may write to the settings file") as caught:
                load(tmp_path, {})
            assert str(caught.value.hint) == f"chmod g-w {path}, then run the command again"
            path.chmod(0o640)
        assert option in str(load(tmp_path, {}).entries.values())
