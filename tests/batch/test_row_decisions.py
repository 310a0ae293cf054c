"""Decisions on rows: issue, renew, reissue or keep; applied again, a file changes nothing."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.batches import Batches, accepting, errors, words
from support.many_customers import fingerprint, old_id
from support.office import NOW

from polygent_issuer.batch import run
from polygent_issuer.batch.items import Done, Failed, Kept
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_expires, parse_term
from polygent_issuer.verifier import License

LOSS = accepting(FindingCode.ENTITLEMENT_LOSS)


def row(**fields: Any) -> str:
    """A license of an apply file."""
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items()]
    return "[[license]]\n" + "".join(lines)


def document(
    batches: Batches, name: str, number: int, *, hostname: str = "prod-1", days: int = 0
) -> str:
    """Write a machine-info document next to the apply file, some days old; return its name."""
    made = (batches.now - timedelta(days=days, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {"fingerprint": fingerprint(number), "generatedAt": made, "hostname": hostname}
    (batches.office.folder / name).write_text(json.dumps(members))
    return name


def only(batches: Batches, slug: str) -> License:
    """Return the content of the only current license of a customer."""
    [record] = batches.current(slug)
    with batches.office.registry.reading() as db:
        return load_license(db, record)


def again(batches: Batches, text: str, **more: Any) -> list[str]:
    """Return the outcomes of the same file once more."""
    return words(batches.done(batches.rows(text, **more)))


def test_one_file_issues_renews_reissues_and_keeps(batches: Batches) -> None:
    """Each action occurs once; the same file again has nothing to do."""
    batches.crowd(1, first=1)
    batches.crowd(2, first=2, expires_at=NOW + timedelta(days=300))
    document(batches, "new.json", 50)
    text = (
        row(customer="Globex", machine_info="new.json")
        + row(customer="c1")
        + row(customer="c2", users=30)
        + row(customer="c3", users=25)
    )
    assert again(batches, text) == ["sign", "renew", "reissue", "keep"]
    assert again(batches, text) == ["keep"] * 4
    assert batches.sound()


def test_a_plan_fills_first_licenses_only(batches: Batches) -> None:
    """The plan of a row changes nothing for a customer with a license."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    document(batches, "new.json", 50)
    text = row(customer="c1", plan="enterprise-annual")
    assert again(batches, text) == ["keep"]
    text = row(customer="Globex", plan="trial", machine_info="new.json")
    assert again(batches, text) == ["sign"]
    trial = batches.office.settings.plans["trial"]
    assert only(batches, "globex").limits == trial.limits
    unknown = row(customer="Initech", plan="gold", machine_info="new.json")
    assert again(batches, unknown) == ["not_found"]


def test_an_expiry_is_reached_once_and_then_kept(batches: Batches) -> None:
    """A later expiry renews the license; it is then kept, also after that day and years later."""
    batches.crowd(1)
    text = row(customer="c1", expires="2027-05-31")
    assert again(batches, text) == ["renew"]
    assert only(batches, "c1").expires_at == parse_expires("2027-05-31")
    for days in (0, 180, 183, 1000):
        batches.now = NOW + timedelta(days=days)
        outcomes = batches.done(batches.rows(text))
        assert words(outcomes) == ["keep"]
        assert isinstance(outcomes[0], Kept)
        assert outcomes[0].decision.note is None


def test_an_earlier_expiry_is_a_reissue(batches: Batches) -> None:
    """It needs consent for `entitlement-loss`, though the row names the expiry."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", expires="2027-05-31")
    [outcome] = batches.done(batches.rows(text))
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "consent_needed"
    assert "days of validity" in outcome.error.message
    assert again(batches, text, consent=LOSS) == ["reissue"]
    assert again(batches, text, consent=LOSS) == ["keep"]


@pytest.mark.parametrize(
    "fields",
    [{"users": 24}, {"session_hosts": 0}, {"features": ["insights"]}, {"features": []}],
)
def test_lower_terms_of_a_row_need_consent(batches: Batches, fields: dict[str, Any]) -> None:
    """A number in a spreadsheet is not a decision of the operator."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", **fields)
    assert again(batches, text) == ["consent_needed"]
    assert again(batches, text, consent=LOSS) == ["reissue"]
    assert again(batches, text) == ["keep"]


def test_a_term_renews_a_license_each_year(batches: Batches) -> None:
    """The license is kept until it is due; a year later the same file renews it again, once."""
    batches.crowd(1)
    text = row(customer="c1", term="6mo")
    assert again(batches, text) == ["renew"]
    first = only(batches, "c1").expires_at
    assert first == dates.term_end(NOW + timedelta(days=20), parse_term("6mo"))
    assert again(batches, text) == ["keep"]
    batches.now = first - timedelta(days=31)
    assert again(batches, text) == ["keep"]
    batches.now = first - timedelta(days=30)
    assert again(batches, text) == ["renew"]
    assert again(batches, text) == ["keep"]
    assert only(batches, "c1").expires_at == dates.term_end(first, parse_term("6mo"))


def test_a_row_without_a_term_uses_that_of_the_license(batches: Batches) -> None:
    """A row that only names the customer renews each year by the term of the license."""
    batches.crowd(1, term="3mo")
    text = row(customer="c1")
    assert again(batches, text) == ["renew"]
    assert again(batches, text) == ["keep"]
    batches.now = batches.current("c1")[0].expires_at + timedelta(days=1)  # expired
    assert again(batches, text) == ["renew"]
    assert again(batches, text) == ["keep"]


def test_terms_change_with_the_renewal(batches: Batches) -> None:
    """A license that is due and different is renewed once."""
    batches.crowd(1)
    assert again(batches, row(customer="c1", users=40)) == ["renew"]
    assert only(batches, "c1").limits.users == 40
    assert len(batches.licenses()) == 2


def test_trials_and_licenses_expired_long_ago_are_kept(batches: Batches) -> None:
    """The note has the reason; a term in the row converts a trial."""
    soon = NOW + timedelta(days=5)
    batches.crowd(1, first=1, plan="trial", term="30d", expires_at=soon)
    batches.crowd(1, first=2, expires_at=NOW - timedelta(days=91))
    outcomes = batches.done(batches.rows(row(customer="c1") + row(customer="c2")))
    assert words(outcomes) == ["keep", "keep"]
    trial, expired = (each.decision.note for each in outcomes if isinstance(each, Kept))
    assert trial == (
        "trials are not renewed automatically; to convert it: "
        "polygent-issue renew c1 --license 00000001 --plan PLAN"
    )
    assert expired == (
        "expired long ago, at 2026-08-31T09:30:00Z; to renew it anyway: "
        "polygent-issue renew c2 --license 00000002"
    )
    assert again(batches, row(customer="c1", term="1y")) == ["renew"]


def test_the_same_machine_changes_nothing(batches: Batches) -> None:
    """A document with the license's fingerprint changes nothing, even if it is old."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    document(batches, "m.json", 1, days=100)
    text = row(customer="c1", machine="prod-1", machine_info="m.json")
    assert again(batches, text) == ["keep"]


def test_another_machine_is_a_reissue(batches: Batches) -> None:
    """The label stays, and the fingerprint is the new one; a stale document is a finding."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    document(batches, "m.json", 90, days=100)
    text = row(customer="c1", machine="prod-1", machine_info="m.json")
    assert again(batches, text) == ["consent_needed"]
    document(batches, "m.json", 90)
    assert again(batches, text) == ["reissue"]
    assert only(batches, "c1").machine_fingerprint == fingerprint(90)
    assert batches.current("c1")[0].machine_label == "prod-1"
    assert again(batches, text) == ["keep"]


def test_another_machine_of_a_customer_is_issued_once(batches: Batches) -> None:
    """A document alone adds a machine, and the same file then keeps its license."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    consent = accepting(FindingCode.ADDITIONAL_MACHINE)
    document(batches, "b.json", 51, hostname="prod-2")
    second = row(customer="c1", machine="prod-2", machine_info="b.json")
    assert again(batches, second, consent=consent) == ["sign"]
    document(batches, "c.json", 52, hostname="prod-3")
    third = row(customer="c1", machine_info="c.json")
    assert again(batches, third, consent=consent) == ["sign"]
    assert again(batches, third, consent=consent) == ["keep"]
    assert [each.machine_label for each in batches.current("c1")].count("prod-3") == 1


def test_a_new_customer_with_one_machine_needs_no_consent(batches: Batches) -> None:
    """The label is that of the row, else the hostname."""
    document(batches, "a.json", 50, hostname="web")
    document(batches, "b.json", 51, hostname="web")
    text = row(customer="Globex", machine_info="a.json") + row(
        customer="Initech", machine="east", machine_info="b.json"
    )
    assert again(batches, text) == ["sign", "sign"]
    assert batches.current("globex")[0].machine_label == "web"
    assert batches.current("initech")[0].machine_label == "east"
    assert again(batches, text) == ["keep", "keep"]


def two_machines(batches: Batches) -> str:
    """Two rows with machines of a new customer."""
    document(batches, "a.json", 50, hostname="east")
    document(batches, "b.json", 51, hostname="west")
    return row(customer="Globex", machine="east", machine_info="a.json") + row(
        customer="Globex", machine="west", machine_info="b.json"
    )


@pytest.mark.parametrize("group", [1, 256])
def test_a_second_machine_of_a_new_customer_needs_consent(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """`additional-machine` is found in the preview and the run, in one group or in two."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", group)
    text = two_machines(batches)
    review, seen = batches.preview(batches.rows(text))
    assert [[str(found.code) for found in each.missing] for each in seen] == [
        [],
        ["additional-machine"],
    ]
    consent = accepting(FindingCode.ADDITIONAL_MACHINE)
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign", "sign"]


def test_the_first_machine_of_a_new_customer_needs_no_consent(batches: Batches) -> None:
    """Only the second machine does, and it fails alone."""
    text = two_machines(batches)
    assert again(batches, text) == ["sign", "consent_needed"]
    assert again(batches, text, consent=accepting(FindingCode.ADDITIONAL_MACHINE)) == [
        "keep",
        "sign",
    ]


def test_consents_of_a_row_count_when_they_are_trusted(batches: Batches) -> None:
    """Else the hint explains how they would count; the row's reason goes into the journal."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", users=5, accept=["entitlement-loss"], reason="downgrade")
    [failed] = batches.done(batches.rows(text))
    assert isinstance(failed, Failed)
    assert failed.error.code == "consent_needed"
    assert "--accept-from-file" in (failed.error.hint or "")
    [done] = batches.done(batches.rows(text, trusted=True))
    assert isinstance(done, Done)
    assert done.job.consent.reason == "downgrade"
    without = row(customer="c1", users=4, accept=["entitlement-loss"])
    [failed] = batches.done(batches.rows(without, trusted=True))
    assert isinstance(failed, Failed)
    assert "a reason is required" in failed.error.message


def test_another_domain_of_an_enterprise_license_is_a_reissue(batches: Batches) -> None:
    """It is issued without a machine; a changed domain is a loss of the old one."""
    text = row(customer="Globex", tier="enterprise", allowed_domain="*.globex.internal")
    assert again(batches, text) == ["sign"]
    assert again(batches, text) == ["keep"]
    other = row(customer="Globex", allowed_domain="*.globex.example")
    assert again(batches, other) == ["consent_needed"]
    assert again(batches, other, consent=LOSS) == ["reissue"]


def test_an_enterprise_row_with_a_machine_is_refused(batches: Batches) -> None:
    """With a label the row would not match again; without one the license is reissued once."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    wanted = {"customer": "c1", "tier": "enterprise"}
    [failed] = batches.done(batches.rows(row(**wanted, machine="prod-1")))
    assert isinstance(failed, Failed)
    assert "the row has machine prod-1" in failed.error.message
    assert again(batches, row(**wanted)) == ["reissue"]
    assert again(batches, row(**wanted)) == ["keep"]


def test_an_invalid_row_is_refused(batches: Batches) -> None:
    """The outcome names the row and the field, and the other rows are done."""
    batches.crowd(2)
    text = row(customer="c1", users=0) + row(customer="c2")
    outcomes = batches.done(batches.rows(text))
    assert errors(outcomes) == {"plan.toml, license 1 (c1)": "invalid_row"}
    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].error.message.startswith("users: ")
    assert words(outcomes)[1] == "renew"


def test_an_unreadable_document_fails_its_row(batches: Batches) -> None:
    """The document is missing, is not JSON, or is named by rows from stdin."""
    (batches.office.folder / "bad.json").write_text("{")
    text = (
        row(customer="A", machine_info="absent.json")
        + row(customer="B", machine_info="bad.json")
        + row(customer="C", machine_info="../m.json")
        + row(customer="D")
    )
    outcomes = batches.done(batches.rows(text))
    codes = ["unreadable_input", "invalid_machine_info", "invalid_row", "missing_input"]
    assert words(outcomes) == codes
    [outcome] = batches.done(batches.rows(row(customer="A", machine_info="a.json"), folder=None))
    assert isinstance(outcome, Failed)
    assert "a row from stdin" in outcome.error.message


def test_a_placeholder_fingerprint_needs_consent(batches: Batches) -> None:
    """A row with a document is checked as by `sign`; a row without one is not."""
    content = batches.office.document("Default-string").content
    (batches.office.folder / "a.json").write_bytes(content)
    rows = batches.rows(row(customer="A", machine_info="a.json"))
    assert words(batches.done(rows)) == ["consent_needed"]
    consent = accepting(FindingCode.IMPLAUSIBLE_FINGERPRINT)
    rows = batches.rows(row(customer="A", machine_info="a.json"), consent=consent)
    assert words(batches.done(rows)) == ["sign"]
    rows = batches.rows(row(customer="A", users=700))
    assert words(batches.done(rows)) == ["reissue"]


def test_hints_name_fields(batches: Batches) -> None:
    """Hints of errors and of findings name fields in place of options."""
    batches.crowd(1)
    text = (
        row(customer="Globex")
        + row(customer="c1", machine="prod-1", term="5y")
        + row(customer="Customers 1", tier="enterprise")
    )
    hints = [
        each.error.hint for each in batches.done(batches.rows(text)) if isinstance(each, Failed)
    ]
    assert hints == [
        "add machine_info FILE, or plan enterprise-annual",
        "to continue, add --accept long-term --reason TEXT; or choose term 3y or less",
        (
            "to continue, add --accept similar-customer --reason TEXT; "
            "or if it is the same customer: customer c1"
        ),
    ]


def test_new_customers_are_compared_with_each_other(batches: Batches) -> None:
    """The preview finds the same similar names as the run, each compared with earlier rows."""
    names = ("Fresh A", "Fresh B", "Globex", "Initech", "FRESH-AX", "Globex Holding Inc")
    text = "".join(row(customer=name, tier="enterprise") for name in names)
    review, seen = batches.preview(batches.rows(text))
    stopped = [[str(each.code) for each in one.missing] for one in seen]
    similar = ["similar-customer"]
    assert stopped == [[], similar, [], [], similar, similar]
    assert "Fresh A from earlier rows" in seen[1].missing[0].message
    consent = accepting(FindingCode.SIMILAR_CUSTOMER)
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign"] * 6


def test_rows_that_spell_a_new_customer_differently_add_one(batches: Batches) -> None:
    """The first row names the customer; the preview shows it as the run does it."""
    document(batches, "a.json", 50)
    document(batches, "b.json", 51)
    text = row(customer="M\u00fcller GmbH", machine="a", machine_info="a.json")
    text += row(customer="MUELLER", machine="b", machine_info="b.json")
    review, seen = batches.preview(batches.rows(text))
    [second] = seen[1].decision.proposals
    assert (second.license.customer, second.license.sub) == ("M\u00fcller GmbH", "muller-gmbh")
    assert [str(each.code) for each in seen[1].missing] == ["additional-machine"]
    consent = accepting(FindingCode.ADDITIONAL_MACHINE)
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign", "sign"]
    assert len(batches.current("muller-gmbh")) == 2


def test_a_row_that_matches_two_new_customers_is_ambiguous(batches: Batches) -> None:
    """Acme is Acme AG or Acme Inc, both of earlier rows: refused in the preview and in the run."""
    names = ("Acme AG", "Acme Inc", "Acme")
    text = "".join(row(customer=name, tier="enterprise") for name in names)
    consent = accepting(FindingCode.SIMILAR_CUSTOMER)
    review, seen = batches.preview(batches.rows(text, consent=consent))
    assert seen[2].error is not None
    assert seen[2].error.hint == "give one of Acme AG, Acme Inc"
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign", "sign", "ambiguous"]


def test_a_hundred_stores_need_no_consent(batches: Batches) -> None:
    """Names that differ in digits are new customers, in the preview and in the run."""
    stores = [f"Store {number:03}" for number in range(1, 101)]
    text = "".join(row(customer=name, tier="enterprise") for name in stores)
    review, seen = batches.preview(batches.rows(text))
    assert [one.missing for one in seen if one.missing] == []
    outcomes = list(batches.run().outcomes(batches.rows(text), review.shown))
    assert words(outcomes) == ["sign"] * 100


def test_a_finding_names_three_similar_rows(batches: Batches) -> None:
    """The message names three of the earlier rows and counts the others."""
    text = "".join(row(customer=f"Store {letter}", tier="enterprise") for letter in "ABCDE")
    _, seen = batches.preview(batches.rows(text))
    expected = "very similar to Store A, Store B, Store C and 1 more from earlier rows"
    assert expected in seen[-1].missing[0].message


def test_new_customers_get_free_slugs(batches: Batches) -> None:
    """Each customer gets a slug that is free by then, and the preview stays valid."""
    text = "".join(row(customer=name, tier="enterprise") for name in ("\u2605\u2605", "\u2603"))
    review, _ = batches.preview(batches.rows(text))
    outcomes = list(batches.run().outcomes(batches.rows(text), review.shown))
    assert words(outcomes) == ["sign", "sign"]
    assert only(batches, "customer-2").customer == "\u2603"


def test_a_second_row_does_not_change_a_new_license(batches: Batches) -> None:
    """Rows with the name and with the new slug are for one license; the second one fails."""
    text = row(customer="Globex Ltd", tier="enterprise", users=10)
    more = text + row(customer="globex-ltd", tier="enterprise", users=20)
    assert again(batches, more) == ["sign", "duplicate_row"]
    assert only(batches, "globex-ltd").limits.users == 10
    same = text + row(customer="globex-ltd", tier="enterprise", users=10)
    assert again(batches, same) == ["keep", "keep"]


def test_a_changed_consent_changes_the_digest(batches: Batches) -> None:
    """A consent or a reason that is edited after the preview gives another digest."""
    batches.crowd(1)
    digests = {
        batches.preview(batches.rows(row(customer="c1", users=5, **more)))[0].digest
        for more in (
            {},
            {"accept": ["entitlement-loss"]},
            {"accept": ["entitlement-loss"], "reason": "downgrade"},
            {"accept": ["entitlement-loss"], "reason": "another"},
        )
    }
    assert len(digests) == 4
    unneeded = row(customer="c1", users=30, accept=["long-term"], reason="why")
    before = batches.preview(batches.rows(row(customer="c1", users=30)))[0].digest
    assert batches.preview(batches.rows(unneeded))[0].digest == before
    trusted = batches.preview(batches.rows(unneeded, trusted=True))[0].digest
    assert trusted == before


def test_a_changed_loss_changes_the_digest(batches: Batches) -> None:
    """The row is the same, but the customer has more than at the time of the preview."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", users=20)
    before = batches.preview(batches.rows(text))[0].digest
    assert again(batches, row(customer="c1", users=500)) == ["reissue"]
    assert batches.preview(batches.rows(text))[0].digest != before


def test_a_repeated_preview_has_the_same_digest(batches: Batches) -> None:
    """The digest does not depend on IDs, the hour, or the operator's consent."""
    batches.crowd(2)
    document(batches, "a.json", 50)
    text = row(customer="c1", users=30) + row(customer="Globex", machine_info="a.json")
    digest = batches.preview(batches.rows(text))[0].digest
    assert batches.preview(batches.rows(text, consent=LOSS))[0].digest == digest
    batches.now = NOW + timedelta(hours=9)
    assert batches.preview(batches.rows(text))[0].digest == digest
    changed = row(customer="c1", users=31) + row(customer="Globex", machine_info="a.json")
    assert batches.preview(batches.rows(changed))[0].digest != digest
    document(batches, "a.json", 51)
    assert batches.preview(batches.rows(text))[0].digest != digest


def test_an_interrupted_run_continues_with_its_digest(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With half of the items done the digest is still the same; then everything is kept."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 2)
    batches.crowd(5)
    text = "".join(row(customer=f"c{number}", users=30) for number in range(1, 6))
    reviewed = batches.preview(batches.rows(text))[0]
    expect = reviewed.digest
    asked = iter(range(100))
    first = batches.run(review=expect, stopped=lambda: next(asked) >= 3)
    broken = list(first.outcomes(batches.rows(text), reviewed.shown))
    assert 0 < len(broken) < 5
    resumed = batches.preview(batches.rows(text), resumed=expect)[0]
    assert resumed.digest == expect
    assert resumed.issues == 5 - len(broken)
    rest = batches.run(review=expect).outcomes(batches.rows(text), resumed.shown)
    assert words(rest) == ["keep"] * len(broken) + ["renew"] * (5 - len(broken))
    whole = batches.preview(batches.rows(text), resumed=expect)[0]
    assert (whole.digest, whole.issues) == (expect, 0)
    assert batches.preview(batches.rows(text))[0].digest != expect


def test_a_failed_row_does_not_stop_the_next_one_of_its_customer(batches: Batches) -> None:
    """A row that fails adds no customer, so the second machine becomes the first."""
    document(batches, "b.json", 51, hostname="west")
    text = row(customer="Globex", machine="east", machine_info="absent.json") + row(
        customer="Globex", machine="west", machine_info="b.json"
    )
    assert again(batches, text) == ["unreadable_input", "sign"]


def test_a_kept_license_is_reported_by_its_id(batches: Batches) -> None:
    """The outcome has the record of a kept license."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    [outcome] = batches.done(batches.rows(row(customer="Customer 1")))
    assert isinstance(outcome, Kept)
    assert outcome.decision.kept is not None
    assert outcome.decision.kept.id == old_id(1)
