"""`polygent-issue reissue`, without a terminal."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from support.cli import Desk

from polygent_issuer.verifier import KeySet, Verifier

OTHER = "sha256:" + "cd" * 32


def signed(desk: Desk, *argv: str) -> dict[str, Any]:
    """Sign a first license for one machine."""
    document = desk.machine_info()
    [issued] = desk.ok("sign", "--machine-info", document, *argv, "--json").json["licenses"]
    return dict(issued)


def reissued(desk: Desk, *argv: str) -> dict[str, Any]:
    """Return the one license that `reissue` issues."""
    [issued] = desk.ok("reissue", "acme-gmbh", *argv, "--json").json["licenses"]
    return dict(issued)


def test_a_reissue_keeps_the_expiry_in_a_new_file(desk: Desk) -> None:
    """Without options there is a new ID and upload window, and no consent is needed."""
    old = signed(desk)
    desk.now += timedelta(days=20)
    new = reissued(desk)
    assert new["expires_at"] == old["expires_at"]
    assert new["id"] != old["id"]
    assert new["upload_before"] == "2026-12-27T09:30:00Z"
    assert (new["replaces"], new["changes"], new["findings"]) == ([old["id"]], [], [])
    assert "as before" in desk.ok("reissue", "acme-gmbh", "--dry-run").text


def test_a_long_term_needs_consent_once(desk: Desk) -> None:
    """The same expiry needs no second consent, a later one does."""
    signed(desk, "--term", "4y", "--accept", "long-term", "--reason", "agreed")
    assert reissued(desk)["findings"] == []
    assert desk.run("reissue", "acme-gmbh", "--expires", "2031-01-31").code == 4


def test_a_changed_machine_keeps_its_label(desk: Desk) -> None:
    """The fingerprint is that of the new document; the history keeps the old one."""
    signed(desk)
    desk.now += timedelta(days=1)
    new = reissued(desk, "--machine-info", desk.machine_info("n.json", fingerprint=OTHER))
    assert (new["machine"], new["claims"]["machineFingerprint"]) == ("prod-1", OTHER)
    assert [change["name"] for change in new["changes"]] == ["fingerprint"]
    keys = KeySet.from_jwks(desk.ok("key", "export-public", "--format", "jwks", "-o", "-").out)
    Verifier(keys).verify(Path(new["file"]).read_bytes(), now=desk.now, fingerprint=OTHER)
    result = desk.ok("customer", "show", "acme-gmbh").text
    assert OTHER in result


def test_a_document_of_another_customer_needs_consent(desk: Desk) -> None:
    """A document that names another known customer needs consent and is shown."""
    signed(desk)
    desk.ok("customer", "add", "Globex")
    wrong = desk.machine_info("n.json", fingerprint=OTHER, customer="Globex", hostname="gx")
    outcome = desk.run("reissue", "acme-gmbh", "--machine-info", wrong)
    assert outcome.code == 4
    assert "the document names the customer Globex" in outcome.err
    text = desk.ok("reissue", "acme-gmbh", "--machine-info", wrong, "--dry-run").text
    assert "document: customer Globex, host gx, created 1 hour ago" in text


def test_changed_components_are_named(desk: Desk) -> None:
    """The components that differ between both documents are named."""
    before = {"machineId": "aa", "board": "bb"}
    first = desk.machine_info(components=before)
    desk.ok("sign", "--machine-info", first)
    after = {"machineId": "cc", "board": "bb"}
    new = desk.machine_info("n.json", fingerprint=OTHER, components=after)
    text = desk.ok("reissue", "acme-gmbh", "--machine-info", new).text
    assert "compared with prod-1: board same, machineId changed" in text


def test_a_document_of_another_machine_is_refused(desk: Desk) -> None:
    """A document of the customer's other machine is refused; the hint renews that one."""
    signed(desk)
    second = desk.machine_info("n.json", fingerprint=OTHER, hostname="prod-2")
    accept = ("--accept", "additional-machine", "--reason", "x")
    desk.ok("sign", "--machine-info", second, "--customer", "acme-gmbh", *accept)
    outcome = desk.run("reissue", "acme-gmbh", "--machine", "prod-1", "--machine-info", second)
    assert outcome.code == 3
    assert "--machine prod-2" in outcome.err


def test_a_wrong_expiry_is_corrected(desk: Desk) -> None:
    """An explicit expiry with fewer days needs no consent."""
    signed(desk)
    new = reissued(desk, "--expires", "2027-06-30")
    assert new["expires_at"] == "2027-07-01T00:00:00Z"
    assert new["findings"] == []


def test_from_needs_a_term(desk: Desk) -> None:
    """`--from` needs `--term`; a reissue without them keeps the expiry."""
    signed(desk)
    outcome = desk.run("reissue", "acme-gmbh", "--from", "now")
    assert outcome.code == 3
    assert "--term TERM" in outcome.err
    counted = ("--from", "now", "--term", "30d", "--dry-run")
    assert reissued(desk, *counted)["last_full_day"] == "2026-12-30"


def test_a_domain_can_change(desk: Desk) -> None:
    """The preview shows old and new domain; `--no-allowed-domain` removes it."""
    desk.ok("sign", "--customer", "Globex", "--tier", "enterprise", "--allowed-domain", "a.b")
    outcome = desk.ok("reissue", "globex", "--allowed-domain", "*.globex.internal")
    assert "a.b → *.globex.internal" in outcome.text
    [last] = desk.ok("reissue", "globex", "--no-allowed-domain", "--json").json["licenses"]
    assert "allowedDomain" not in last["claims"]


def test_an_expired_license_is_renewed_instead(desk: Desk) -> None:
    """An expired license cannot keep its expiry; `--expires` still corrects it."""
    signed(desk)
    desk.now += timedelta(days=380)
    outcome = desk.run("reissue", "acme-gmbh")
    assert outcome.code == 3
    assert "polygent-issue renew acme-gmbh" in outcome.err
    assert reissued(desk, "--expires", "2028-06-30", "--dry-run")["last_full_day"] == "2028-06-30"


def test_a_plan_replaces_terms_and_keeps_the_expiry(desk: Desk) -> None:
    """Tier, features and limits are those of the plan; a loss is a finding."""
    old = signed(desk, "--users", "900")
    outcome = desk.run("reissue", "acme-gmbh", "--plan", "standard-annual")
    assert outcome.code == 4
    assert "users (25 instead of 900)" in outcome.err
    accept = ("--accept", "entitlement-loss", "--reason", "agreed")
    new = reissued(desk, "--plan", "standard-annual", *accept)
    assert new["expires_at"] == old["expires_at"]


def test_an_option_selects_another_key(desk: Desk) -> None:
    """`--key` selects a key; each license keeps its own pinned key."""
    signed(desk)
    store = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", store, "--no-backup")
    kids = {each["label"]: each["kid"] for each in desk.ok("key", "list", "--json").json["keys"]}
    assert reissued(desk, "--key", "second")["kid"] == kids["second"]
    assert reissued(desk)["kid"] == kids["main"]
    assert desk.run("reissue", "acme-gmbh", "--key", "third").code == 5


def test_repeated_machine_changes_are_noted(desk: Desk) -> None:
    """From the second change of a machine within a year on there is a note."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    notes = []
    for number in (1, 2, 3):
        document = desk.machine_info(fingerprint=f"{number:064}")
        argv = ("reissue", "acme-gmbh", "--machine-info", document, "--json")
        (issued,) = desk.ok(*argv, after=timedelta(days=10)).json["licenses"]
        notes.append([note for note in issued["notes"] if "machine change" in note])
    second, third = (
        "2nd machine change in 12 months: prod-1",
        "3rd machine change in 12 months: prod-1",
    )
    assert notes == [[], [second], [third]]


def test_another_hostname_of_the_same_machine_is_noted(desk: Desk) -> None:
    """Another host name may mean a clone: it is noted and needs no consent."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    document = desk.machine_info(hostname="web-7")
    text = desk.ok("reissue", "acme-gmbh", "--machine-info", document).text
    assert "this host is web-7, but its fingerprint is registered for prod-1 (Acme GmbH" in text
