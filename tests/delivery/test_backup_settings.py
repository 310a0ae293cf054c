"""The settings in a backup: the ones that another operator needs, checked like a settings file."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polygent_issuer.delivery import backup_settings, template
from polygent_issuer.delivery.backup_settings import MAIL_TEMPLATE, SETTINGS, Difference
from polygent_issuer.errors import InvalidSettings, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.home.setting_types import FOLDER, STORE
from polygent_issuer.home.settings import KEYS, load, settings_path
from polygent_issuer.home.settings_editing import default_text, set_value

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
KID = "x1_-" + "A" * 39
SUBJECT = "Subject: your license\n\n$greeting $file\n"
VALUES = {
    "issuer": "Zoë's Licenses",
    "upload_window": "36h",
    "machine_info_max_age": "3d",
    "long_term": "5y",
    "not_due": "30d",
    "lapsed": "14d",
    "mail_from": "Licenses <l@a.example>",
    "features": "quantum,warp",
    "require_order_id": "true",
    "plans.gold": "trial",
    "plans.gold.users": "77",
    "plans.gold.features": "bots,warp",
    "default_plan": "gold",
}
OWN = {
    "operator": "Grace",
    "output": "/licenses",
    "store": "file:/keys/",
    "key_backup_folder": "/usb",
    "keyring_timeout": "5s",
    f"stores.{KID}": "keyring:",
}


def make_home(folder: Path, values: dict[str, str]) -> Path:
    """Create a home with these settings."""
    folder.mkdir()
    settings_path(folder).write_text(default_text(), encoding="utf-8")
    for key, value in values.items():
        set_value(folder, key, value)
    return folder


def collect(home: Path) -> dict[str, str]:
    """Return the rows of a backup of a home whose settings are valid."""
    return backup_settings.collect(home, load(home, {}), warn=pytest.fail)


def contents(home: Path) -> dict[str, bytes]:
    """Return the content of each file of a home."""
    return {path.name: path.read_bytes() for path in home.iterdir()}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the homes of two operators, which each test copies."""
    folder = tmp_path_factory.mktemp("homes")
    ada = make_home(folder / "ada", VALUES | {"output": "/ada", "operator": "Ada"})
    set_value(ada, "plans.standard-annual", "")
    template.template_path(ada).write_text(SUBJECT, encoding="utf-8")
    make_home(folder / "grace", OWN | {"plans.mine": "trial"})
    return folder


@pytest.fixture
def ada(homes: Path, tmp_path: Path) -> Path:
    """The home of the first operator, where no setting of a backup has its default."""
    return Path(shutil.copytree(homes / "ada", tmp_path / "ada"))


@pytest.fixture
def grace(homes: Path, tmp_path: Path) -> Path:
    """The home of the next operator, with her own key store, folders and plan."""
    return Path(shutil.copytree(homes / "grace", tmp_path / "grace"))


def test_the_next_operator_has_the_same_settings(ada: Path, grace: Path) -> None:
    """Values, plans, their order and the template are the same; her own settings stay."""
    rows = collect(ada)
    assert {difference.name for difference in backup_settings.compare(grace, rows)} >= {
        *SETTINGS,
        "plans.mine.tier",
        "plans.gold.users",
        "plans.standard-annual.term",
        MAIL_TEMPLATE,
    }
    before = contents(grace)
    kept = backup_settings.restore(grace, rows, NOW)
    name = "settings.toml.before-restore-2026-11-30T093000Z"
    assert [path.name for path in kept] == [name]
    assert contents(grace)[name] == before["settings.toml"]
    first, second = load(ada, {}).settings, load(grace, {}).settings
    assert [*second.plans.items()] == [*first.plans.items()]
    assert {n: getattr(second, n) for n in SETTINGS} == {n: getattr(first, n) for n in SETTINGS}
    assert template.load(grace) == template.load(ada)
    texts = load(grace, {}).texts
    assert {key: texts[key] for key in OWN} == OWN
    assert "# How long after its issue the server accepts" in settings_path(grace).read_text()
    assert backup_settings.compare(grace, rows) == ()
    assert backup_settings.restore(grace, rows, NOW) == ()


def test_unset_values_and_the_default_template_come_back(ada: Path, grace: Path) -> None:
    """An unset value of the backup clears the present one; the old template is kept."""
    backup_settings.restore(ada, collect(grace), NOW)
    settings = load(ada, {}).settings
    assert (settings.upload_window, settings.mail_from, settings.features) == (None, None, ())
    assert (settings.operator, settings.output) == ("Ada", Path("/ada"))
    assert not template.load(ada).edited
    (kept,) = ada.glob("mail.txt.before-restore-*")
    assert kept.read_text() == SUBJECT


def test_a_template_without_a_settings_file_is_kept(ada: Path, grace: Path) -> None:
    """Only the defaults of a new settings file are not kept: a template is never a default."""
    backup_settings.restore(ada, collect(grace), NOW, keep_old=False)
    (kept,) = ada.glob("*.before-restore-*")
    assert kept.read_text() == SUBJECT


def test_settings_in_another_layout_are_changed_in_place(ada: Path, tmp_path: Path) -> None:
    """Comments of a file that was written by hand stay, and a missing file is created."""
    (tmp_path / "new").mkdir()
    for home, text in (
        (tmp_path / "by-hand", "# mine\nissuer='x' # old\n"),
        (tmp_path / "new", ""),
    ):
        home.mkdir(exist_ok=True)
        if text:
            settings_path(home).write_text(text)
        backup_settings.restore(home, collect(ada), NOW)
        assert backup_settings.compare(home, collect(ada)) == ()
    assert "# mine\n" in settings_path(tmp_path / "by-hand").read_text()


def test_a_different_order_of_plans_is_a_difference(ada: Path, grace: Path) -> None:
    """Of several plans with a tier the first one counts."""
    backup_settings.restore(grace, collect(ada), NOW)
    set_value(grace, "plans.trial", "")
    set_value(grace, "plans.trial", "gold")
    for key in ("users", "features"):
        set_value(grace, f"plans.trial.{key}", str(load(ada, {}).texts[f"plans.trial.{key}"]))
    assert backup_settings.compare(grace, collect(ada)) == (
        Difference(
            name="plans", old="enterprise-annual,gold,trial", new="enterprise-annual,trial,gold"
        ),
    )
    backup_settings.restore(grace, collect(ada), NOW)
    assert [*load(grace, {}).settings.plans] == ["enterprise-annual", "trial", "gold"]


def test_no_place_and_no_name_is_in_a_backup(ada: Path) -> None:
    """Key stores, folders and the operator's name stay at their machine."""
    rows = collect(ada)
    assert "Ada" not in rows.values()
    assert not rows.keys() & OWN.keys()
    assert all(KEYS[name].kind not in (STORE, FOLDER) for name in SETTINGS)


@pytest.mark.parametrize(
    "rows",
    [
        *({name: text} for name, text in OWN.items()),
        {"nonsense": "x"},
        {"issuer.x": "x"},
        {"issuer\x1b[31m": "x"},
        {"issuer": "red \x1b[31m"},
        {"upload_window": "0d"},
        {"default_plan": "none-such"},
        {"mail_from": "a@b\r\nBcc: c@d"},
        {"features": "no such, name"},
        {"plans": "x"},
        {"plans.trial": "x"},
        {"plans.trial.users": "7"},
        {"plans.trial.shell": "rm"},
        {"plans.a b.users": "7"},
        {MAIL_TEMPLATE: "no subject"},
        {MAIL_TEMPLATE: "Subject: x\n\n$nonsense"},
        {MAIL_TEMPLATE: "Subject: x\n\n\x1b[31m"},
        {MAIL_TEMPLATE: f"Subject: {'x' * template.LIMIT}"},
        {"issuer": "x" * 300_000},
    ],
    ids=lambda rows: str(*rows)[:20],
)
def test_invalid_settings_are_refused(ada: Path, grace: Path, rows: dict[str, str]) -> None:
    """Nothing is changed; the message is printable and names the backup."""
    before = contents(grace)
    if "plans.trial.users" not in rows:  # an incomplete plan
        rows = collect(ada) | rows
    for use in (backup_settings.compare, lambda home, r: backup_settings.restore(home, r, NOW)):
        with pytest.raises(InvalidSettings, match=r"^the settings in the backup: ") as caught:
            use(grace, rows)
        assert caught.value.message.isprintable()
        assert caught.value.hint == "restore the registry without them: --settings keep"
    assert contents(grace) == before


@pytest.mark.parametrize("error", [OutputProblem("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_both_files_as_they_were(
    ada: Path, grace: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The template is replaced first, and gets its old content back; no copy is left."""
    template.template_path(grace).write_text("Subject: mine\n\nx\n")
    before, replace = contents(grace), publication.replace

    def refuse(data: bytes, path: Path) -> None:
        if path == settings_path(grace):
            raise error
        replace(data, path)

    monkeypatch.setattr(publication, "replace", refuse)
    with pytest.raises(type(error)):
        backup_settings.restore(grace, collect(ada), NOW)
    assert contents(grace) == before


def test_an_invalid_template_is_left_out_of_a_backup(ada: Path, grace: Path) -> None:
    """The reason is a warning, and the next operator keeps her template."""
    template.template_path(ada).write_text("no subject")
    warnings: list[str] = []
    rows = backup_settings.collect(ada, load(ada, {}), warn=warnings.append)
    assert MAIL_TEMPLATE not in rows
    assert "the backup does not contain the mail template: " in warnings[0]
    template.template_path(grace).write_text(SUBJECT)
    backup_settings.restore(grace, rows, NOW)
    assert template.load(grace).text == SUBJECT
