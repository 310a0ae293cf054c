"""Runbooks for changes of a license, with the commands of the guide.

At the end of each the library checks the new file like the customer's server.
"""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.runbooks import blocks, walk

from polygent_issuer.verifier import KeySet, LicenseError, Verifier

OLD, NEW, SECOND = (f"sha256:{digits * 32}" for digits in ("0a", "0b", "0c"))
CONSENT = ("--accept", "additional-machine", "--reason", "a second server")

(A_TRIAL_BECOMES_A_CONTRACT,) = blocks("A trial becomes a contract")
THE_MACHINE_CHANGED, ONE_OF_SEVERAL_MACHINES_CHANGED = blocks("The machine changed")
(THE_DOMAIN_CHANGED,) = blocks("The domain changed")
(A_WRONG_EXPIRY,) = blocks("A wrong expiry")
(
    STANDARD_BECOMES_ENTERPRISE,
    SEVERAL_MACHINES_BECOME_ENTERPRISE,
    ENTERPRISE_BECOMES_STANDARD,
) = blocks("Standard becomes enterprise")


@pytest.fixture
def office(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with the mails of customers in its folder."""
    desk.machine_info("machine-info.json", fingerprint=OLD, hostname="prod", customer="Acme")
    desk.machine_info("new-machine-info.json", fingerprint=NEW, hostname="prod", customer="Acme")
    monkeypatch.chdir(desk.folder)
    return desk


def licenses(desk: Desk, customer: str = "acme", **having: Any) -> list[dict[str, Any]]:
    """Return the licenses of a customer with these members."""
    listed = desk.ok("license", "list", "--customer", customer, "--json").json["licenses"]
    return [each for each in listed if having.items() <= each.items()]


def only(values: list[Any]) -> Any:
    """Return the only element."""
    [one] = values
    return one


def bytes_of(desk: Desk, license_id: str) -> bytes:
    """Return the file of a license as the customer received it."""
    return desk.ok("license", "export", license_id, "--output", "-").out


def verdict(desk: Desk, license_id: str, **server: Any) -> str:
    """Return `ok`, or the code of the failed check on a server."""
    keys = KeySet.from_pem(desk.ok("key", "export-public").out)
    try:
        Verifier(keys).verify(bytes_of(desk, license_id), **{"now": desk.now, **server})
    except LicenseError as refused:
        return str(refused.code)
    return "ok"


def test_a_trial_becomes_a_contract(office: Desk) -> None:
    """During the trial: a year from its end, with the terms of the plan, and no prompt."""
    office.ok("sign", "--machine-info", "machine-info.json", "--plan", "trial")
    office.now += timedelta(days=12)
    preview, issued, verified = walk(office, A_TRIAL_BECOMES_A_CONTRACT)
    assert "users          5 → 25\n" in preview.text
    assert "2026-12-31T00:00:00Z → 2027-12-31T00:00:00Z, last full day 2027-12-30" in issued.text
    assert ": accepted\n" in verified.text
    new = only(licenses(office, status="current"))
    trial = only(licenses(office, status="replaced"))
    assert verdict(office, new["id"], fingerprint=OLD) == "ok"
    assert verdict(office, new["id"], fingerprint=NEW) == "machine_mismatch"
    assert verdict(office, trial["id"], fingerprint=OLD) == "ok"
    office.now += timedelta(days=30)
    assert verdict(office, trial["id"], fingerprint=OLD) == "expired"
    assert verdict(office, new["id"], fingerprint=OLD) == "ok"
    office.now += timedelta(days=330)
    office.ok("renew", "acme")
    assert {each["plan"] for each in shown(office, status="current")} == {"standard-annual"}


def shown(desk: Desk, **having: Any) -> list[dict[str, Any]]:
    """Return Acme's licenses from `license show`."""
    return [
        desk.ok("license", "show", each["id"], "--json").json["license"]
        for each in licenses(desk, **having)
    ]


def test_a_contract_from_today(office: Desk) -> None:
    """With `--from now` the rest of the trial is dropped without a prompt."""
    office.ok("sign", "--machine-info", "machine-info.json", "--plan", "trial")
    office.now += timedelta(days=12)
    outcome = office.ok("renew", "acme", "--plan", "standard-annual", "--from", "now", "--json")
    issued = only(outcome.json["licenses"])
    assert (issued["last_full_day"], issued["findings"]) == ("2027-12-12", [])


def test_a_trial_is_not_renewed_automatically(office: Desk) -> None:
    """Exit 3 names two commands; the printed one changes only the expiry of the trial."""
    office.ok("sign", "--machine-info", "machine-info.json", "--plan", "trial")
    refused = office.run("renew", "acme")
    assert refused.code == 3
    assert "hint: to convert it add --plan PLAN; to extend it: " in refused.err
    longer = refused.err.rpartition("polygent-issue ")[2].strip()
    office.ok(*shlex.split(longer))
    [trial] = shown(office, status="current")
    assert (trial["plan"], trial["last_full_day"]) == ("trial", "2027-01-29")
    assert trial["claims"]["limits"]["users"] == 5


def test_a_long_trial_is_not_too_early(office: Desk) -> None:
    """A contract may be issued at any time of a trial; `not-due` applies to contracts only."""
    office.ok("sign", "--machine-info", "machine-info.json", "--plan", "trial", "--term", "6mo")
    outcome = office.ok("renew", "acme", "--plan", "standard-annual", "--json")
    assert only(outcome.json["licenses"])["findings"] == []
    assert office.run("renew", "acme").code == 4


def test_an_expired_trial_becomes_a_contract(office: Desk) -> None:
    """The contract starts on the day of issue."""
    office.ok("sign", "--machine-info", "machine-info.json", "--plan", "trial")
    office.now += timedelta(days=45)
    assert "renew acme --license" in office.ok("expiring").text
    walk(office, A_TRIAL_BECOMES_A_CONTRACT.partition("$ polygent-issue verify")[0])
    assert only(licenses(office, status="current"))["last_full_day"] == "2028-01-14"


def test_the_machine_changed(office: Desk) -> None:
    """The new server accepts only the new file; the old file cannot be revoked."""
    office.ok("sign", "--machine-info", "machine-info.json")
    old = only(licenses(office))
    checked, issued, verified = walk(office, THE_MACHINE_CHANGED)
    assert NEW in checked.text
    assert f"fingerprint    {OLD} → {NEW}\n" in issued.text
    assert f"the old file {old['id'][:8]} stays valid until" in issued.text
    assert ": accepted\n" in verified.text
    new = only(licenses(office, status="current"))
    assert new["expires_at"] == old["expires_at"]
    assert verdict(office, new["id"], fingerprint=NEW) == "ok"
    assert verdict(office, new["id"], fingerprint=OLD) == "machine_mismatch"
    assert verdict(office, old["id"], fingerprint=NEW) == "machine_mismatch"
    Path("old.lic").write_bytes(bytes_of(office, old["id"]))
    wrong = office.run("verify", "old.lic", "--machine-info", "new-machine-info.json")
    assert wrong.code == 11
    assert f"this license was replaced by {new['id'][:8]}" in wrong.text
    assert f"polygent-issue license show {new['id'][:8]}" in wrong.text


def test_one_of_several_machines_changed(office: Desk) -> None:
    """The document does not name the old machine, so exit 5 lists them; a label decides."""
    office.ok("sign", "--machine-info", "machine-info.json")
    second = office.machine_info("2.json", fingerprint=SECOND, hostname="test", customer="Acme")
    office.ok("sign", "--machine-info", second, "--customer", "acme", *CONSENT)
    refused = office.run("reissue", "acme", "--machine-info", "new-machine-info.json")
    assert refused.code == 5
    assert "--machine prod (machine prod" in refused.err
    walk(office, ONE_OF_SEVERAL_MACHINES_CHANGED)
    prod = only(licenses(office, machine="prod", status="current"))
    test = only(licenses(office, machine="test", status="current"))
    assert verdict(office, prod["id"], fingerprint=NEW) == "ok"
    assert verdict(office, test["id"], fingerprint=SECOND) == "ok"


@pytest.fixture
def globex(office: Desk) -> Desk:
    """An enterprise customer with a domain."""
    argv = ("--tier", "enterprise", "--allowed-domain", "*.globex.internal")
    office.ok("sign", "--customer", "Globex", *argv)
    return office


def test_the_domain_changed(globex: Desk) -> None:
    """Hosts of the new domain are accepted, those of the old one are refused."""
    issued, verified = walk(globex, THE_DOMAIN_CHANGED)
    assert "allowed domain  *.globex.internal → *.new.internal\n" in issued.text
    assert ": accepted\n" in verified.text
    new = only(licenses(globex, "globex", status="current"))
    assert verdict(globex, new["id"], host="api.new.internal") == "ok"
    assert verdict(globex, new["id"], host="api.globex.internal") == "domain_mismatch"
    assert globex.run("verify", "--customer", "globex", "--host", "api.globex.internal").code == 11


def test_any_domain(globex: Desk) -> None:
    """`--no-allowed-domain` allows every host; the preview explains that once."""
    text = globex.ok("reissue", "globex", "--no-allowed-domain").text
    lines = [line.strip() for line in text.splitlines() if "allowed domain" in line]
    assert lines == ["allowed domain  *.globex.internal → any (bearer license)"]
    new = only(licenses(globex, "globex", status="current"))
    assert verdict(globex, new["id"], host="anything.example") == "ok"
    assert (
        "allowed domain  any (bearer license)" in globex.ok("reissue", "globex", "--dry-run").text
    )


@pytest.mark.parametrize("typed", ["https://api.new.internal", "*.New.internal.", "a b", "x_y.z"])
def test_an_invalid_domain_is_refused(globex: Desk, typed: str) -> None:
    """Exit 3 shows the syntax, and nothing is issued."""
    refused = globex.run("reissue", "globex", "--allowed-domain", typed)
    assert refused.code == 3
    assert "api.acme.internal or *.acme.internal" in refused.err
    assert len(licenses(globex, "globex")) == 1


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("2027-03-31", "2027-04-01T00:00:00Z → 2027-12-01T00:00:00Z"),
        ("2028-11-30", "2028-12-01T00:00:00Z → 2027-12-01T00:00:00Z"),
    ],
)
def test_a_wrong_expiry_is_corrected(office: Desk, wrong: str, expected: str) -> None:
    """The given day is the last full day; it was named, so nothing is asked."""
    office.ok("sign", "--machine-info", "machine-info.json", "--expires", wrong)
    issued, verified = walk(office, A_WRONG_EXPIRY)
    assert expected in issued.text
    assert ": accepted\n" in verified.text
    new = only(licenses(office, status="current"))
    end = datetime(2027, 12, 1, tzinfo=UTC)
    last_second = end - timedelta(seconds=1)
    assert verdict(office, new["id"], fingerprint=OLD, now=last_second) == "ok"
    assert verdict(office, new["id"], fingerprint=OLD, now=end) == "expired"
    office.now = end - timedelta(days=30)
    assert "2028-12-01T00:00:00Z" in office.ok("renew", "acme").text


def test_standard_becomes_enterprise(office: Desk) -> None:
    """During the term, with the same expiry: any machine, on the hosts of a domain."""
    office.ok("sign", "--machine-info", "machine-info.json")
    old = only(licenses(office))
    issued, verified = walk(office, STANDARD_BECOMES_ENTERPRISE)
    assert "standard → enterprise" in issued.text
    assert ": accepted\n" in verified.text
    new = only(licenses(office, status="current"))
    assert (new["machine"], new["expires_at"]) == (None, old["expires_at"])
    for fingerprint in (OLD, NEW, None):
        server = {"fingerprint": fingerprint, "host": "api.acme.internal"}
        assert verdict(office, new["id"], **server) == "ok"
    assert verdict(office, new["id"], host="api.v2.acme.internal") == "domain_mismatch"


@pytest.fixture
def cluster(office: Desk) -> Desk:
    """Acme with two machines; the license of the second expires half a year later."""
    office.ok("sign", "--machine-info", "machine-info.json")
    second = office.machine_info("2.json", fingerprint=SECOND, hostname="test", customer="Acme")
    argv = ("--customer", "acme", "--term", "18mo", *CONSENT)
    office.ok("sign", "--machine-info", second, *argv)
    return office


def test_several_machines_become_enterprise(cluster: Desk) -> None:
    """One license until the later expiry is accepted on both machines."""
    replaced = licenses(cluster)
    preview, issued, listed, verified = walk(cluster, SEVERAL_MACHINES_BECOME_ENTERPRISE)
    assert "users                             25 + 25 → 250\n" in preview.text
    assert "users                             25 + 25 → 300\n" in issued.text
    assert "as before (the latest): 2028-05-31T00:00:00Z" in issued.text
    assert len(listed.text.splitlines()) == 2
    assert ": accepted\n" in verified.text
    new = only(licenses(cluster, status="current"))
    for fingerprint in (OLD, SECOND):
        assert verdict(cluster, new["id"], fingerprint=fingerprint) == "ok"
    rows = cluster.ok("journal", "show", "--customer", "acme", "--json").json["rows"]
    row = only([row for row in rows if row["event"] == "license-reissued"])
    assert row["details"]["replaces"] == [old["id"] for old in replaced]
    for old in replaced:
        Path("old.lic").write_bytes(bytes_of(cluster, old["id"]))
        wrong = cluster.run("verify", "old.lic", "--at", "2029-01-01")
        assert f"this license was replaced by {new['id'][:8]}" in wrong.text


def test_enterprise_becomes_standard(office: Desk) -> None:
    """A machine is required, and losses need consent; the machine keeps its label."""
    office.ok("sign", "--machine-info", "machine-info.json")
    walk(office, STANDARD_BECOMES_ENTERPRISE)
    refused = office.run("reissue", "acme", "--plan", "standard-annual", "--no-allowed-domain")
    assert refused.code == 3
    assert "--machine-info FILE" in refused.err
    walk(office, ENTERPRISE_BECOMES_STANDARD)
    new = only(licenses(office, status="current"))
    assert (new["machine"], new["tier"]) == ("prod", "standard")
    assert verdict(office, new["id"], fingerprint=OLD, host="any.example") == "ok"
    assert verdict(office, new["id"], fingerprint=NEW) == "machine_mismatch"
