"""One enterprise license replaces the licenses of several machines."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk

from polygent_issuer.verifier import KeySet, LicenseError, Verifier

ALL = ("--accept", "not-due", "--accept", "entitlement-loss", "--reason", "agreed")
ANOTHER = ("--customer", "Acme GmbH", "--accept", "additional-machine", "--reason", "a cluster")
LIMITS = ("--users", "300", "--session-hosts", "30", "--deploy-hosts", "30")


@pytest.fixture
def cluster(desk: Desk) -> Desk:
    """Sign licenses for Acme's two machines, for 12 and for 13 months."""
    desk.ok("sign", "--machine-info", desk.machine_info(hostname="one"), "--users", "40")
    flags = (*ANOTHER, "--term", "13mo")
    second = desk.machine_info("2.json", hostname="two", fingerprint="2e" * 32)
    desk.ok("sign", "--machine-info", second, *flags)
    return desk


def listed(desk: Desk, *argv: str) -> list[dict[str, Any]]:
    """Return the output of `license list`."""
    licenses: list[dict[str, Any]] = desk.ok("license", "list", "--json", *argv).json["licenses"]
    return licenses


def renewed(desk: Desk, *argv: str) -> dict[str, Any]:
    """Renew Acme's licenses; return the one new license."""
    licenses: list[dict[str, Any]] = desk.ok("renew", "acme-gmbh", *argv, "--json").json["licenses"]
    (new,) = licenses
    return new


def test_one_license_replaces_those_of_all_machines(cluster: Desk) -> None:
    """The new license counts from the latest expiry, and a server accepts it at any host."""
    olds = listed(cluster)
    new = renewed(cluster, "--all-machines", "--plan", "enterprise-annual", *ALL)
    assert new["replaces"] == [old["id"] for old in olds]
    assert (new["machine"], new["tier"], new["plan"]) == (None, "enterprise", "enterprise-annual")
    assert new["last_full_day"] == "2028-12-30"
    assert [one["id"] for one in listed(cluster, "--status", "current")] == [new["id"]]
    for old in olds:
        shown = cluster.ok("license", "show", old["id"])
        assert f"is replaced by {new['id']}" in shown.text
        assert [row["event"] for row in cluster_journal(cluster, old["id"])] == [
            "license-signed",
            "license-renewed",
        ]
        cluster.ok("verify", "--license", old["id"])
    public = cluster.ok("key", "export-public").out
    file = Path(new["file"]).read_bytes()
    read = Verifier(KeySet.from_pem(public)).verify(file, now=cluster.now, host="any.example")
    assert read.replaces == tuple(new["replaces"])
    assert cluster.ok("journal", "verify").code == 0
    later = ("--term", "30d", *ALL, "--json")
    again = cluster.ok("renew", "acme-gmbh", *later).json["licenses"]
    assert [one["replaces"] for one in again] == [[new["id"]]]


def cluster_journal(desk: Desk, license_id: str) -> list[dict[str, Any]]:
    """Return the journal rows of a license, including its replacement."""
    rows: list[dict[str, Any]] = desk.ok("license", "show", license_id, "--json").json["journal"]
    return rows


def test_the_preview_lists_each_replaced_license(cluster: Desk) -> None:
    """The preview has each replaced license with its expiry, and old → new of every term."""
    argv = ("renew", "acme-gmbh", "--all-machines", "--plan", "enterprise-annual", "--dry-run")
    text = " ".join(cluster.ok(*argv).text.split())
    first, second = (old["id"] for old in listed(cluster))
    assert f"replaces {first} (one, until 2027-12-01T00:00:00Z) replaces {second} (two" in text
    assert f"the old file {second[:8]} stays valid until 2027-12-31T00:00:00Z" in text
    assert "2027-12-31T00:00:00Z (the latest) → 2028-12-31T00:00:00Z" in text
    assert "fingerprint of 2 machines → any tier standard → enterprise users 40 + 25 → 250" in text
    assert "session hosts 5 + 5 → 50" in text
    assert "allowed domain any (bearer license)" in text
    assert [one["status"] for one in listed(cluster)] == ["current", "current"]
    (planned,) = cluster.ok(*argv, "--json").json["licenses"]
    assert {"name": "users", "old": "40 + 25", "new": "250"} in planned["changes"]


def test_the_journal_records_the_replaced_licenses(cluster: Desk) -> None:
    """The journal has their IDs, the latest expiry, and old → new."""
    olds = listed(cluster)
    renewed(cluster, "--all-machines", "--tier", "enterprise", *LIMITS, "--term", "1y", *ALL)
    details = cluster.ok("journal", "show", "--json").json["rows"][-1]["details"]
    assert details["replaces"] == [old["id"] for old in olds]
    assert details["expired_at"] == "2027-12-31T00:00:00Z"
    assert details["changes"]["users"] == ["40 + 25", "300"]


def test_the_new_license_has_the_features_of_each_machine(desk: Desk) -> None:
    """A feature of one machine is granted to all, and is a change for the others."""
    desk.ok("sign", "--machine-info", desk.machine_info(hostname="one"), "--feature", "bots")
    second = desk.machine_info("2.json", hostname="two", fingerprint="2e" * 32)
    desk.ok("sign", "--machine-info", second, *ANOTHER, "--feature", "memory", "--feature", "bots")
    argv = ("reissue", "acme-gmbh", "--all-machines", "--tier", "enterprise", *LIMITS)
    (new,) = desk.ok(*argv, "--json").json["licenses"]
    assert new["claims"]["features"] == ["bots", "memory"]
    assert {"name": "feature_memory", "old": "1 of 2", "new": "yes"} in new["changes"]
    assert "feature_bots" not in {change["name"] for change in new["changes"]}


def test_limits_are_not_added_up_automatically(cluster: Desk) -> None:
    """Limits of several licenses must be given by options or a plan."""
    refused = cluster.run("renew", "acme-gmbh", "--all-machines", "--tier", "enterprise")
    assert refused.code == 3
    assert "users 40 + 25; session hosts 5 + 5; deploy hosts 5 + 5" in refused.err
    assert "add --users N --session-hosts N --deploy-hosts N, or --plan PLAN" in refused.err
    argv = ("--all-machines", "--tier", "enterprise", "--term", "1y")
    refused = cluster.run("renew", "acme-gmbh", *argv, "--users", "300")
    assert ": session hosts 5 + 5; deploy hosts 5 + 5" in refused.err
    assert renewed(cluster, *argv, *LIMITS, *ALL)["claims"]["limits"]["users"] == 300


def test_a_common_term_is_kept_and_different_terms_are_not(cluster: Desk) -> None:
    """Terms of 1y and 13mo need `--term`; after a reissue the next renewal needs it."""
    argv = ("--all-machines", "--tier", "enterprise", *LIMITS)
    refused = cluster.run("renew", "acme-gmbh", *argv)
    assert refused.code == 3
    assert "these 2 licenses have different terms" in refused.err
    (new,) = cluster.ok("reissue", "acme-gmbh", *argv, "--json").json["licenses"]
    assert (new["term"], new["plan"]) == (None, None)
    refused = cluster.run("renew", "acme-gmbh")
    assert f"no term is known for license {new['id'][:8]}" in refused.err


def test_a_trial_is_not_merged_without_a_term(desk: Desk) -> None:
    """A trial among the replaced licenses needs a term or a plan, too."""
    trial = ("--plan", "trial", "--term", "1y")
    desk.ok("sign", "--machine-info", desk.machine_info(hostname="one"), *trial)
    second = desk.machine_info("2.json", hostname="two", fingerprint="2e" * 32)
    desk.ok("sign", "--machine-info", second, *ANOTHER)
    argv = ("renew", "acme-gmbh", "--all-machines", "--tier", "enterprise", *LIMITS)
    refused = desk.run(*argv)
    assert refused.code == 3
    assert "the plan 'trial' of license" in refused.err
    desk.ok(*argv, "--term", "1y", *ALL)


def test_less_than_the_sum_of_the_limits_needs_consent(cluster: Desk) -> None:
    """A plan below the sum is `entitlement-loss`; an explicit limit is not."""
    cluster.ok("config", "set", "plans.small", "enterprise-annual")
    cluster.ok("config", "set", "plans.small.users", "50")
    argv = ("renew", "acme-gmbh", "--all-machines", "--plan", "small")
    refused = cluster.run(*argv, "--accept", "not-due", "--reason", "agreed")
    assert refused.code == 4
    assert "would lose: users (50 instead of 40 + 25)" in refused.err
    cluster.ok(*argv, "--users", "50", "--accept", "not-due", "--reason", "agreed")


def test_a_reissue_keeps_the_latest_expiry(cluster: Desk) -> None:
    """A reissue of several licenses has the latest of their expiries."""
    argv = ("reissue", "acme-gmbh", "--all-machines", "--plan", "enterprise-annual")
    (new,) = cluster.ok(*argv, "--json").json["licenses"]
    assert new["expires_at"] == "2027-12-31T00:00:00Z"


def test_the_hint_for_several_licenses_is_the_other_verb(cluster: Desk) -> None:
    """The hint keeps the command line, since a command for one license would do something else."""
    argv = ("acme-gmbh", "--all-machines", "--plan", "enterprise-annual")
    refused = cluster.run("renew", *argv)
    assert refused.code == 4
    assert "use reissue instead of renew" in refused.err
    cluster.ok("reissue", *argv, "--dry-run")
    cluster.now += timedelta(days=400)
    refused = cluster.run("reissue", *argv)
    assert refused.code == 3
    assert "use the same command with renew instead of reissue" in refused.err
    (new,) = cluster.ok("renew", *argv, "--json").json["licenses"]
    assert (len(new["replaces"]), new["last_full_day"]) == (2, "2029-01-04")


def test_licenses_expired_long_ago_are_left_out_with_a_note(cluster: Desk) -> None:
    """`--all-machines` leaves them out with a note; `--license` includes them."""
    first, second = (old["id"] for old in listed(cluster))
    cluster.now += timedelta(days=366 + 91)
    argv = ("--plan", "enterprise-annual", "--dry-run")
    alone = renewed(cluster, "--all-machines", *argv)
    assert alone["replaces"] == [second]
    assert (
        f"license {first[:8]} (one) expired long ago, at 2027-12-01T00:00:00Z" in alone["notes"][1]
    )
    both = renewed(cluster, "--license", first, "--license", second, *argv)
    assert both["replaces"] == [first, second]


def test_the_option_license_selects_the_licenses_to_replace(cluster: Desk) -> None:
    """`--license` twice replaces these two; a third machine keeps its license."""
    third = cluster.machine_info("3.json", hostname="three", fingerprint="3e" * 32)
    cluster.ok("sign", "--machine-info", third, *ANOTHER)
    one, two = (o["id"] for o in listed(cluster) if o["machine"] in ("one", "two"))
    named = ("--license", one[:8], "--license", two[:8], "--license", one[:8])
    new = renewed(cluster, *named, "--plan", "enterprise-annual", *ALL)
    assert new["replaces"] == [one, two]
    current = listed(cluster, "--status", "current")
    assert {each["machine"] for each in current} == {None, "three"}


def test_several_selected_licenses_keep_their_machines(cluster: Desk) -> None:
    """Without a change of tier each selected license is renewed on its own."""
    named = [word for one in listed(cluster) for word in ("--license", one["id"][:8])]
    result = cluster.ok("renew", "acme-gmbh", *named, "--users", "60", *ALL, "--json").json
    assert [one["machine"] for one in result["licenses"]] == ["one", "two"]
    assert {one["claims"]["limits"]["users"] for one in result["licenses"]} == {60}


def test_an_enterprise_license_can_be_among_the_replaced(cluster: Desk) -> None:
    """Its domain is kept; two different domains need an option."""
    enterprise = ("sign", "--customer", "acme-gmbh", "--tier", "enterprise")
    cluster.ok(*enterprise, "--allowed-domain", "*.acme.example")
    argv = ("--all-machines", "--plan", "enterprise-annual", *ALL)
    refused = cluster.run("renew", "acme-gmbh", *argv[:3])
    assert (
        "entitlement-loss: Acme GmbH would lose: users (250 instead of 250 + 40 + 25)"
        in refused.err
    )
    assert ", host names outside *.acme.example" in refused.err
    dry = cluster.ok("renew", "acme-gmbh", *argv, "--dry-run", "--json").json["licenses"]
    assert [len(one["replaces"]) for one in dry] == [3]
    assert dry[0]["claims"]["allowedDomain"] == "*.acme.example"
    cluster.ok(*enterprise, "--allowed-domain", "other.example")
    refused = cluster.run("renew", "acme-gmbh", *argv)
    assert refused.code == 3
    assert "these licenses have different domains: *.acme.example, other.example" in refused.err
    new = renewed(cluster, *argv, "--no-allowed-domain")
    assert len(new["replaces"]) == 4
    assert "allowedDomain" not in new["claims"]


def test_enterprise_licenses_of_several_domains_are_not_merged(desk: Desk) -> None:
    """A plan changes each of them and merges none."""
    for domain in ("a.example", "b.example"):
        argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
        desk.ok(*argv, "--allowed-domain", domain)
    renew = ("renew", "globex", "--all-machines", "--plan", "enterprise-annual", *ALL)
    domains = [o["claims"]["allowedDomain"] for o in desk.ok(*renew, "--json").json["licenses"]]
    assert sorted(domains) == ["a.example", "b.example"]


def test_one_domain_for_all_merges_enterprise_licenses(desk: Desk) -> None:
    """`--allowed-domain` with `--all-machines` merges them into one license."""
    for domain in ("a.example", "b.example"):
        argv = ("sign", "--customer", "Globex", "--tier", "enterprise")
        desk.ok(*argv, "--allowed-domain", domain)
    argv = ("reissue", "globex", "--all-machines", "--allowed-domain", "*.globex.example")
    refused = desk.run(*argv)
    assert refused.code == 3
    assert "users 250 + 250" in refused.err
    (new,) = desk.ok(*argv, *LIMITS, "--json").json["licenses"]
    assert len(new["replaces"]) == 2
    assert {
        "name": "allowed_domain",
        "old": "a.example, b.example",
        "new": "*.globex.example",
    } in new["changes"]


def test_a_domain_does_not_change_the_tier(cluster: Desk) -> None:
    """Standard licenses cannot have a domain; the hint is `--tier enterprise`."""
    argv = ("reissue", "acme-gmbh", "--all-machines", "--allowed-domain", "acme.example")
    refused = cluster.run(*argv)
    assert refused.code == 3
    assert "add --tier enterprise" in refused.err


def test_sign_notes_that_machine_licenses_stay_current(cluster: Desk) -> None:
    """`sign` of an enterprise license suggests replacing the machines' licenses instead."""
    argv = ("sign", "--customer", "acme-gmbh", "--tier", "enterprise", "--dry-run")
    instead = "polygent-issue reissue acme-gmbh --all-machines --plan enterprise-annual"
    note = f"the licenses for one, two stay current; to replace them instead: {instead}"
    assert note in cluster.ok(*argv).text
    cluster.ok(*instead.split()[1:], "--dry-run")
    cluster.now += timedelta(days=500)
    assert "stay current" not in cluster.ok(*argv).text


@pytest.mark.slow
def test_a_license_replaces_at_most_100_others(desk: Desk) -> None:
    """More than 100 replaced licenses are refused before signing (FORMAT §1)."""
    for number in range(101):
        names = {"hostname": f"node-{number}", "fingerprint": f"{number + 1:064x}"}
        desk.ok("sign", "--machine-info", desk.machine_info(**names), *ANOTHER)
    argv = ("renew", "acme-gmbh", "--plan", "enterprise-annual", *ALL)
    refused = desk.run(*argv, "--all-machines")
    assert refused.code == 3
    assert "a license can replace at most 100 others, not 101" in refused.err
    assert "first select up to 100 of them with --license ID" in refused.err
    named = [word for one in listed(desk)[:100] for word in ("--license", one["id"])]
    (hundred,) = desk.ok(*argv, *named, "--json").json["licenses"]
    assert len(hundred["replaces"]) == 100
    assert {"name": "users", "old": "2500 in 100 licenses", "new": "250"} in hundred["changes"]
    (last,) = desk.ok(*argv, "--all-machines", "--json").json["licenses"]
    assert hundred["id"] in last["replaces"]
    assert [one["id"] for one in listed(desk, "--status", "current")] == [last["id"]]


def test_several_licenses_without_a_selection_are_ambiguous(cluster: Desk) -> None:
    """The error is exit 5 with the candidates and `--all-machines`."""
    outcome = cluster.run("renew", "acme-gmbh", "--plan", "enterprise-annual")
    assert outcome.code == 5
    assert "--machine one (machine one, until 2027-11-30)" in outcome.err
    assert "or one for all of them: --all-machines" in outcome.err
    outcome = cluster.run("renew", "acme-gmbh", "--users", "9")
    assert "or each of them: --all-machines" in outcome.err


def test_one_document_cannot_be_for_several_licenses(cluster: Desk) -> None:
    """Several licenses with one document are exit 2."""
    one, two = (each["id"][:8] for each in listed(cluster))
    document = cluster.machine_info("4.json", fingerprint="4e" * 32)
    argv = ("--license", one, "--license", two, "--machine-info", document)
    assert cluster.run("reissue", "acme-gmbh", *argv).code == 2


def test_a_replaced_file_works_until_its_expiry(cluster: Desk) -> None:
    """A new license does not extend the files that it replaces."""
    old = listed(cluster)[0]
    new = renewed(cluster, "--all-machines", "--plan", "enterprise-annual", *ALL)
    verifier = Verifier(KeySet.from_pem(cluster.ok("key", "export-public").out))
    file = Path(new["file"]).read_bytes()
    with pytest.raises(LicenseError, match="expired"):
        verifier.verify(file, now=cluster.now + timedelta(days=800))
    text = cluster.ok("verify", "--license", old["id"], "--fingerprint", "sha256:" + "ab" * 32).text
    assert f"replaced by {new['id'][:8]}" in text
