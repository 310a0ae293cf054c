"""Runbooks for a server, a container and a second operator."""

import json
import shutil
from base64 import urlsafe_b64decode
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of
from support.runbooks import blocks, walk

NO_KEYRING = {"DBUS_SESSION_BUS_ADDRESS": ""}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A machine without a keyring and without a home, with a customer's document."""
    desk = Desk(tmp_path, environ=dict(NO_KEYRING))
    desk.machine_info("machine-info.json", customer="Acme")
    desk.environ["POLYGENT_ISSUER_PASSPHRASE_FILE"] = ""
    monkeypatch.chdir(tmp_path)
    return desk


def test_a_server_without_a_desktop(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is in a file, its passphrase comes from a command or a file, and lists are JSON."""
    monkeypatch.setenv("HOME", str(bare.folder))
    (bare.folder / "licenses").mkdir()
    (bare.folder / "passphrase").write_text(PASSPHRASE)
    (block,) = blocks("A server without a desktop")
    *_, signed, due = walk(bare, block)
    assert "upload before  2026-12-07T09:30:00Z\n" in signed.text
    assert due.json["licenses"] == []
    (key,) = (bare.folder / "polygent-keys").iterdir()
    assert kid_of(key) == kid_of(bare.folder / "main-key.backup")
    assert [path.suffix for path in (bare.folder / "licenses").iterdir()] == [".lic"]
    row = bare.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["operator"]) == ("license-signed", "renewals")


def test_a_container(bare: Desk, tmp_path: Path) -> None:
    """The secrets are mounted read-only with mode 0444, and the key is not copied."""
    made = Desk(tmp_path / "elsewhere", environ=dict(NO_KEYRING))
    made.folder.mkdir()
    made.set_up()
    secrets = bare.folder / "secrets"
    secrets.mkdir()
    shutil.copy(made.folder / "main.key", secrets)
    (secrets / "passphrase").write_text(PASSPHRASE + "\n")
    for path in secrets.iterdir():
        path.chmod(0o444)
    secrets.chmod(0o555)
    bare.environ["POLYGENT_ISSUER_PASSPHRASE_FILE"] = str(secrets / "passphrase")
    (block,) = blocks("A container, or CI")
    taken, _, signed, health = walk(bare, block, {"/run/secrets": str(secrets)})
    assert f"  file:{secrets}/main.key\n" in taken.text
    assert "other users can read the key file" in taken.err
    assert "other users can read the passphrase file" in signed.err
    assert "0 failures" in health.text
    assert "signed license" in signed.text
    assert len(list(bare.folder.glob("acme-*.lic"))) == 1
    assert sorted(path.name for path in secrets.iterdir()) == ["main.key", "passphrase"]


def test_a_second_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deputy signs as her colleague does; her licenses come back with her name."""
    ada, grace = (Desk(tmp_path / name, environ=dict(NO_KEYRING)) for name in ("ada", "grace"))
    for desk in (ada, grace):
        desk.folder.mkdir()
    ada.set_up()
    ada.ok("key", "backup", "main", str(ada.folder / "main-key.backup"))
    ada.ok("sign", "--machine-info", ada.machine_info(customer="Acme"), "--term", "60d")
    change_settings(ada)
    grace.passphrase_file.write_text(PASSPHRASE)
    over, start, work, back, later = blocks("A second operator")
    monkeypatch.chdir(ada.folder)
    walk(ada, over)
    for name in ("for-grace.db", "main-key.backup"):
        shutil.copy(ada.folder / name, grace.folder)
    monkeypatch.chdir(grace.folder)
    walk(grace, start)
    renewed, _ = walk(grace, work)
    assert "renewed license" in renewed.text
    by_ada, by_grace = (
        signed_by(desk.copy_to(tmp_path / f"{desk.folder.name}-tries")) for desk in (ada, grace)
    )
    assert by_grace == by_ada
    shutil.copy(grace.folder / "from-grace.db", ada.folder)
    monkeypatch.chdir(ada.folder)
    walk(ada, back)
    rows = ada.ok("journal", "show", "--json").json["rows"]
    assert [(r["event"], r["operator"]) for r in rows if r["event"].startswith("license-")] == [
        ("license-signed", "Ada"),
        ("license-renewed", "Grace"),
    ]
    ada.ok("verify", "--customer", "acme")
    assert ada.ok("doctor", "--quick").code == 0
    ada.ok("config", "set", "plans.trial.users", "9")
    ada.ok("registry", "backup", str(grace.folder / "new-plan.db"))
    monkeypatch.chdir(grace.folder)
    walk(grace, later)
    shown = grace.ok("config", "show", "plans.trial.users", "--json").json["settings"]
    assert shown["plans.trial.users"]["value"] == "9"


def change_settings(desk: Desk) -> None:
    """Change each setting that a license or a mail draft depends on."""
    for key, value in {
        "upload_window": "3d",
        "machine_info_max_age": "30m",
        "mail_from": "Licenses <licenses@polygent.example>",
        "features": "quantum",
        "plans.gold": "trial",
        "plans.gold.users": "77",
        "plans.gold.term": "5mo",
        "plans.gold.features": "insights,quantum",
        "default_plan": "gold",
    }.items():
        desk.ok("config", "set", key, value)
    desk.ok("config", "mail-template", "--write")
    template = desk.home / "mail.txt"
    template.write_text(template.read_text().replace("Attached is", "As agreed, here is"))


def signed_by(desk: Desk) -> tuple[dict[str, object], str]:
    """Sign a license with a draft; return the payload and the draft without the random ID."""
    desk.environ.update(NO_KEYRING)
    out = desk.folder / "signed"
    out.mkdir()
    globex = desk.machine_info("globex.json", customer="Globex", fingerprint="2e" * 32)
    argv = ("sign", "--machine-info", globex, "--output", str(out), "--eml", str(out))
    consent = desk.run(*argv)
    assert (consent.code, "stale-machine-info" in consent.err) == (4, True)
    accept = ("--accept", "stale-machine-info", "--reason", "by phone")
    (row,) = desk.ok(*argv, *accept, "--json").json["licenses"]
    assert "2026-12-03T09:30:00Z" in str(row)
    (file,) = out.glob("*.lic")
    (draft,) = out.glob("*.eml")
    payload = json.loads(urlsafe_b64decode(file.read_text().split(".")[1] + "=="))
    body = message_from_bytes(draft.read_bytes(), policy=default)
    text = body.get_body()
    assert text is not None
    head = {name: body[name] for name in ("From", "To", "Subject")}
    jti = str(payload.pop("jti"))
    return payload, f"{head} {text.get_content()}".replace(jti, "ID").replace(jti[:8], "ID")
