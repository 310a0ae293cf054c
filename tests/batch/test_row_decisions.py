"""From a row to what it takes: issue, renew, reissue or keep, and the same again: nothing."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.batches import Batches, accepting, errors, words
from support.many_customers import fingerprint, old_id
from support.office import NOW

from polygent_issuer.batch import run
from polygent_issuer.batch.outcomes import Done, Failed, Kept
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
    """Write a machine's document beside the apply file, some days old; its name."""
    made = (batches.now - timedelta(days=days, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {"fingerprint": fingerprint(number), "generatedAt": made, "hostname": hostname}
    (batches.office.folder / name).write_text(json.dumps(members))
    return name


def only(batches: Batches, slug: str) -> License:
    """What the only current license of a customer says."""
    [record] = batches.current(slug)
    with batches.office.registry.reading() as db:
        return load_license(db, record)


def again(batches: Batches, text: str, **more: Any) -> list[str]:
    """What the same file does once more."""
    return words(batches.done(batches.rows(text, **more)))


def test_issue_renew_reissue_keep(batches: Batches) -> None:
    """One file with each of them; the same file again has nothing to do."""
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
    """For who has a license its plan, named in a row, changes nothing."""
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


def test_expires_is_reached_once_and_kept_for_ever(batches: Batches) -> None:
    """Later: renewed to that day. Then kept: that day, after it has passed, and years later."""
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


def test_an_earlier_expiry_takes_days_away(batches: Batches) -> None:
    """A reissue, and `entitlement-loss` needs consent though the row says it."""
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
def test_what_a_row_takes_away_needs_consent(batches: Batches, fields: dict[str, Any]) -> None:
    """A number that stands in a spreadsheet is no decision of the operator's."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", **fields)
    assert again(batches, text) == ["consent_needed"]
    assert again(batches, text, consent=LOSS) == ["reissue"]
    assert again(batches, text) == ["keep"]


def test_a_term_is_a_standing_policy(batches: Batches) -> None:
    """Kept until it is due; a year later the same file renews again, and not twice."""
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


def test_the_term_that_was_sold_is_the_policy_without_one(batches: Batches) -> None:
    """A row that only names the customer renews each year by the term that is kept."""
    batches.crowd(1, term="3mo")
    text = row(customer="c1")
    assert again(batches, text) == ["renew"]
    assert again(batches, text) == ["keep"]
    batches.now = batches.current("c1")[0].expires_at + timedelta(days=1)  # lapsed
    assert again(batches, text) == ["renew"]
    assert again(batches, text) == ["keep"]


def test_terms_change_with_the_renewal(batches: Batches) -> None:
    """Due and different: one license, not two."""
    batches.crowd(1)
    assert again(batches, row(customer="c1", users=40)) == ["renew"]
    assert only(batches, "c1").limits.users == 40
    assert len(batches.licenses()) == 2


def test_trials_and_what_lapsed_long_ago_are_kept(batches: Batches) -> None:
    """With a word of why; a term in the row makes a contract of a trial."""
    soon = NOW + timedelta(days=5)
    batches.crowd(1, first=1, plan="trial", term="30d", expires_at=soon)
    batches.crowd(1, first=2, expires_at=NOW - timedelta(days=91))
    outcomes = batches.done(batches.rows(row(customer="c1") + row(customer="c2")))
    assert words(outcomes) == ["keep", "keep"]
    trial, lapsed = (each.decision.note for each in outcomes if isinstance(each, Kept))
    assert trial == (
        "a trial is not renewed by itself; for a contract: "
        "polygent-issue renew c1 --license 00000001 --plan PLAN"
    )
    assert lapsed == (
        "lapsed long ago, at 2026-08-31T09:30:00Z; to mean it: "
        "polygent-issue renew c2 --license 00000002"
    )
    assert again(batches, row(customer="c1", term="1y")) == ["renew"]


def test_the_same_machine_changes_nothing(batches: Batches) -> None:
    """A document of the fingerprint that the license has, old as it may be."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    document(batches, "m.json", 1, days=100)
    text = row(customer="c1", machine="prod-1", machine_info="m.json")
    assert again(batches, text) == ["keep"]


def test_another_machine_is_a_reissue(batches: Batches) -> None:
    """The label stays, the fingerprint is the new one; a stale document is a finding."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    document(batches, "m.json", 90, days=100)
    text = row(customer="c1", machine="prod-1", machine_info="m.json")
    assert again(batches, text) == ["consent_needed"]
    document(batches, "m.json", 90)
    assert again(batches, text) == ["reissue"]
    assert only(batches, "c1").machine_fingerprint == fingerprint(90)
    assert batches.current("c1")[0].machine_label == "prod-1"
    assert again(batches, text) == ["keep"]


def test_a_machine_beside_several_is_issued_once(batches: Batches) -> None:
    """Named by its document alone: a further machine, which the same file then keeps."""
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


def test_a_new_customer_with_one_machine(batches: Batches) -> None:
    """The label is the row's, or else the hostname; nothing needs consent."""
    document(batches, "a.json", 50, hostname="web")
    document(batches, "b.json", 51, hostname="web")
    text = row(customer="Globex", machine_info="a.json") + row(
        customer="Initech", machine="east", machine_info="b.json"
    )
    assert again(batches, text) == ["sign", "sign"]
    assert batches.current("globex")[0].machine_label == "web"
    assert batches.current("initech")[0].machine_label == "east"
    assert again(batches, text) == ["keep", "keep"]


def newcomers(batches: Batches) -> str:
    """Two machines of a customer whom nobody knows yet."""
    document(batches, "a.json", 50, hostname="east")
    document(batches, "b.json", 51, hostname="west")
    return row(customer="Globex", machine="east", machine_info="a.json") + row(
        customer="Globex", machine="west", machine_info="b.json"
    )


@pytest.mark.parametrize("group", [1, 256])
def test_a_second_machine_of_a_new_customer(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """`additional-machine` in the review as in the run, in one group or in two."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", group)
    text = newcomers(batches)
    review, seen = batches.preview(batches.rows(text))
    assert [[str(found.code) for found in each.missing] for each in seen] == [
        [],
        ["additional-machine"],
    ]
    consent = accepting(FindingCode.ADDITIONAL_MACHINE)
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign", "sign"]


def test_the_first_machine_of_a_new_customer_needs_no_consent(batches: Batches) -> None:
    """Only the second does, and it fails alone."""
    text = newcomers(batches)
    assert again(batches, text) == ["sign", "consent_needed"]
    assert again(batches, text, consent=accepting(FindingCode.ADDITIONAL_MACHINE)) == [
        "keep",
        "sign",
    ]


def test_consents_of_a_row_count_when_they_are_trusted(batches: Batches) -> None:
    """Else the operator is told how they would; the row's reason goes into the journal."""
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


def test_enterprise_and_its_domain(batches: Batches) -> None:
    """Issued without a machine; another domain is a reissue, and a loss of the old one."""
    text = row(customer="Globex", tier="enterprise", allowed_domain="*.globex.internal")
    assert again(batches, text) == ["sign"]
    assert again(batches, text) == ["keep"]
    other = row(customer="Globex", allowed_domain="*.globex.example")
    assert again(batches, other) == ["consent_needed"]
    assert again(batches, other, consent=LOSS) == ["reissue"]


def test_an_enterprise_license_is_for_no_machine(batches: Batches) -> None:
    """A row with a label would not find it again: refused; without one it is reissued once."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    wanted = {"customer": "c1", "tier": "enterprise"}
    [failed] = batches.done(batches.rows(row(**wanted, machine="prod-1")))
    assert isinstance(failed, Failed)
    assert "the row has machine prod-1" in failed.error.message
    assert again(batches, row(**wanted)) == ["reissue"]
    assert again(batches, row(**wanted)) == ["keep"]


def test_a_row_that_says_what_no_license_can(batches: Batches) -> None:
    """Refused by row and field, the others done."""
    batches.crowd(2)
    text = row(customer="c1", users=0) + row(customer="c2")
    outcomes = batches.done(batches.rows(text))
    assert errors(outcomes) == {"plan.toml, license 1 (c1)": "invalid_row"}
    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].error.message.startswith("users: ")
    assert words(outcomes)[1] == "renew"


def test_a_document_that_cannot_be_read(batches: Batches) -> None:
    """Not there, no JSON, or asked for by rows from stdin: that row's outcome."""
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
    assert "came from stdin" in outcome.error.message


def test_a_placeholder_as_fingerprint(batches: Batches) -> None:
    """A row with a document is judged as `sign` is; one without is not."""
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
    """Of what is refused, and of what needs consent."""
    batches.crowd(1)
    text = (
        row(customer="Globex")
        + row(customer="c1", machine="prod-1", term="5y")
        + row(customer="customer1", tier="enterprise")
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


def test_new_customers_are_held_against_each_other(batches: Batches) -> None:
    """A review finds what the run will: names that are alike, each beside the earlier ones."""
    names = ("Fresh A", "Fresh B", "Globex", "Initech", "FRESH-A")
    text = "".join(row(customer=name, tier="enterprise") for name in names)
    review, seen = batches.preview(batches.rows(text))
    stopped = [[str(each.code) for each in one.missing] for one in seen]
    assert stopped == [[], ["similar-customer"], [], [], ["similar-customer"]]
    assert "Fresh A of an earlier row" in seen[1].missing[0].message
    consent = accepting(FindingCode.SIMILAR_CUSTOMER)
    outcomes = list(batches.run().outcomes(batches.rows(text, consent=consent), review.shown))
    assert words(outcomes) == ["sign"] * 5


def test_a_hundred_stores_need_no_consent(batches: Batches) -> None:
    """Names that differ in digits are new customers, in the preview and in the run."""
    stores = [f"Store {number:03}" for number in range(1, 101)]
    text = "".join(row(customer=name, tier="enterprise") for name in stores)
    review, seen = batches.preview(batches.rows(text))
    assert [one.missing for one in seen if one.missing] == []
    outcomes = list(batches.run().outcomes(batches.rows(text), review.shown))
    assert words(outcomes) == ["sign"] * 100


def test_a_row_like_many_names_three(batches: Batches) -> None:
    """The message names three of the earlier rows and counts the rest."""
    text = "".join(row(customer=f"Store {letter}", tier="enterprise") for letter in "ABCDE")
    _, seen = batches.preview(batches.rows(text))
    expected = "very similar to Store A, Store B, Store C and 1 more of an earlier row"
    assert expected in seen[-1].missing[0].message


def test_new_customers_of_whose_names_no_slug_is_left(batches: Batches) -> None:
    """Each gets one that is free by then, and the review holds."""
    text = "".join(row(customer=name, tier="enterprise") for name in ("\u2605\u2605", "\u2603"))
    review, _ = batches.preview(batches.rows(text))
    outcomes = list(batches.run().outcomes(batches.rows(text), review.shown))
    assert words(outcomes) == ["sign", "sign"]
    assert only(batches, "customer-2").customer == "\u2603"


def test_two_rows_for_one_new_license(batches: Batches) -> None:
    """By the name, and by the slug that it gets: the second changes nothing of the first."""
    text = row(customer="Globex Ltd", tier="enterprise", users=10)
    more = text + row(customer="globex-ltd", tier="enterprise", users=20)
    assert again(batches, more) == ["sign", "duplicate_row"]
    assert only(batches, "globex-ltd").limits.users == 10
    same = text + row(customer="globex-ltd", tier="enterprise", users=10)
    assert again(batches, same) == ["keep", "keep"]


def test_a_review_is_of_what_the_file_accepts(batches: Batches) -> None:
    """Who adds a consent or changes its reason after the review, has reviewed nothing."""
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


def test_a_review_is_of_what_is_taken_away(batches: Batches) -> None:
    """The row is the same, and the customer has more by now than she had at the review."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    text = row(customer="c1", users=20)
    before = batches.preview(batches.rows(text))[0].digest
    assert again(batches, row(customer="c1", users=500)) == ["reissue"]
    assert batches.preview(batches.rows(text))[0].digest != before


def test_a_review_decides_the_same_again(batches: Batches) -> None:
    """Its digest is of decisions and dates: not of IDs, the hour, or what is consented to."""
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


def test_a_run_that_broke_off_goes_on_under_its_review(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half is done, the digest is still that of the review; then everything is kept."""
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


def test_rows_of_one_customer_do_not_hold_each_other_up(batches: Batches) -> None:
    """A row that fails makes no newcomer; the second machine is then the first."""
    document(batches, "b.json", 51, hostname="west")
    text = row(customer="Globex", machine="east", machine_info="absent.json") + row(
        customer="Globex", machine="west", machine_info="b.json"
    )
    assert again(batches, text) == ["unreadable_input", "sign"]


def test_old_ids_are_kept(batches: Batches) -> None:
    """A kept license is told by its record."""
    batches.crowd(1, expires_at=NOW + timedelta(days=300))
    [outcome] = batches.done(batches.rows(row(customer="Customer 1")))
    assert isinstance(outcome, Kept)
    assert outcome.decision.kept is not None
    assert outcome.decision.kept.id == old_id(1)
