"""`polygent-issue reissue` as a batch, without a terminal."""

import zipfile
from datetime import timedelta

import pytest
from support.cli import Desk
from support.desk_state import read_state
from support.many_customers import add_customers_at, old_id

CONSENT = ("--accept", "key-rollout", "--reason", "installed everywhere")


def use_second_key(desk: Desk) -> None:
    """Generate a second key and activate it."""
    store = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", store, "--no-backup")
    desk.ok("key", "use", "second", *CONSENT)


def signers(desk: Desk) -> dict[str, str]:
    """Return the label of the key of each current license, by customer."""
    labels = {each["kid"]: each["label"] for each in desk.ok("key", "list", "--json").json["keys"]}
    listed = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
    return {each["customer"]: labels[each["kid"]] for each in listed}


def test_every_license_of_a_key_is_reissued_once(desk: Desk) -> None:
    """Expiries stay, an expired license is kept with the reason, and a second run does nothing."""
    add_customers_at(desk, range(1, 4))
    add_customers_at(desk, range(4, 5), ends_in=-30)
    use_second_key(desk)
    desk.ok("renew", "c3")
    argv = ("reissue", "--signed-with", "main")
    outcome = desk.ok(*argv)
    assert "reissued c1, prod-1: until 2026-12-19\n" in outcome.text
    assert "kept c4, prod-1: expired at 2026-10-31T09:30:00Z, and a reissue " in outcome.text
    assert "\nreissued 2, kept 1\n" in outcome.text
    assert signers(desk) == {"c1": "second", "c2": "second", "c3": "second", "c4": "main"}
    assert desk.ok(*argv).text.endswith("nothing to do, kept 1\n")
    assert read_state(desk).problems == ()


def test_licenses_of_a_key_and_an_archived_customer_are_named(desk: Desk) -> None:
    """They are kept with the reason; nothing of a lost key is left out silently."""
    add_customers_at(desk, range(1, 3))
    desk.ok("customer", "archive", "c1", "--reason", "left")
    use_second_key(desk)
    text = desk.ok("reissue", "--signed-with", "main").text
    assert "kept c1, prod-1: the customer is archived; to unarchive it: polygent-issue" in text
    assert "\nreissued 1, kept 1\n" in text


def test_a_new_file_is_reissued_for_another_key(desk: Desk) -> None:
    """The key decides, even while servers would accept the file."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    desk.ok("reissue", "--all")
    assert "nothing to do, kept 2" in desk.ok("reissue", "--all").text
    use_second_key(desk)
    assert "reissued 2" in desk.ok("reissue", "--all").text
    assert set(signers(desk).values()) == {"second"}
    assert "reissued 2" in desk.ok("reissue", "--all", "--key", "main").text


def test_all_and_due_within_select_licenses(desk: Desk) -> None:
    """`--all` selects every current license; the filters can be combined."""
    add_customers_at(desk, range(1, 3))
    add_customers_at(desk, range(3, 5), ends_in=200)
    users = ("--users", "30")
    soon = desk.ok("reissue", "--due-within", "30d", "--signed-with", "main", *users, "--json")
    assert [each.get("item") for each in soon.json_lines] == ["c1, prod-1", "c2, prod-1", None]
    outcome = desk.ok("reissue", "--all", *users, "--json")
    *items, last = outcome.json_lines
    assert [each["outcome"] for each in items] == ["kept", "kept", "done", "done"]
    assert items[0]["note"] == "up to date: servers accept its file until 2026-12-07T09:30:00Z"
    assert (last["summary"]["reissued"], last["summary"]["kept"]) == (2, 2)
    assert "nothing to do, kept 4" in desk.ok("reissue", "--all", *users).text


def test_past_the_upload_deadline_a_license_is_reissued_again(desk: Desk) -> None:
    """A new file is made as soon as servers no longer accept the last one, and not before."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    assert "reissued 2" in desk.ok("reissue", "c1", "Customer 2").text
    assert desk.ok("reissue", "c1", "c2", after=timedelta(days=7)).text.endswith("kept 2\n")
    assert "reissued 2" in desk.ok("reissue", "c1", "c2", after=timedelta(seconds=1)).text


def test_licenses_with_one_expiry_are_items_once(desk: Desk) -> None:
    """A license that the batch issued follows in the order of expiry, but is not an item."""
    add_customers_at(desk, range(1, 301), ends_in=200)
    *items, last = desk.ok("reissue", "--all", "--users", "30", "--json").json_lines
    assert {each["outcome"] for each in items} == {"done"}
    assert (len(items), last["summary"]["reissued"]) == (300, 300)


def test_the_outputs_of_a_batch(desk: Desk) -> None:
    """Archive, drafts and report are those of `renew`."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    drafts, archive, report = (desk.folder / name for name in ("drafts", "a.zip", "r.csv"))
    drafts.mkdir()
    outputs = ("--eml", str(drafts), "--bundle", str(archive), "--report", str(report))
    desk.ok("reissue", "c1", "c2", *outputs)
    assert len(zipfile.ZipFile(archive).namelist()) == 3
    assert len(list(drafts.iterdir())) == 2
    assert report.read_text("utf-8-sig").count('"done","reissue"') == 2


@pytest.mark.parametrize("targets", [("--all",), ("c1", "c2", "c3"), ("-",)])
def test_the_printed_command_issues_that_preview(desk: Desk, targets: tuple[str, ...]) -> None:
    """The same digest is valid after the run; another one is exit 3 with the dry run."""
    add_customers_at(desk, range(1, 4), ends_in=200)
    names = b"c1\nc2\nc3\n"
    preview = desk.ok("reissue", *targets, "--dry-run", "--json", stdin=names)
    argv = preview.json_lines[-1]["summary"]["argv"]
    assert argv[:3] == list(desk.argv)
    command = [word for word in argv[3:] if word != "--json"]
    assert "reissued 3" in desk.ok(*command, stdin=names, after=timedelta(minutes=5)).text
    assert desk.ok(*command, stdin=names).text.endswith("nothing to do, kept 3\n")
    changed = desk.run(*command[:-1], "0" * 64, stdin=names)
    assert changed.code == 3
    assert "hint: check the new preview: " in changed.err
    assert changed.err.rstrip().endswith(" ".join(("reissue", *targets, "--dry-run")))


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("c1", "--all"),
        ("c1", "--signed-with", "main"),
        ("--all", "--signed-with", "main"),
        ("--all", "--license", "00000001"),
        ("--signed-with", "main", "--all-machines"),
        ("--all", "--term", "1y"),
        ("c1", "c2", "--machine-info", "m.json"),
    ],
)
def test_contradicting_options_issue_nothing(desk: Desk, argv: tuple[str, ...]) -> None:
    """Options that contradict each other are exit 2 with a hint."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("reissue", *argv)
    assert outcome.code == 2
    assert "hint: " in outcome.err
    assert list(desk.output.iterdir()) == []


def test_an_unknown_key_is_named(desk: Desk) -> None:
    """An unknown key of `--signed-with` is exit 5."""
    outcome = desk.run("reissue", "--signed-with", "mian")
    assert outcome.code == 5
    assert "main" in outcome.err


def test_a_customer_with_several_licenses_fails_alone(desk: Desk) -> None:
    """Without `--all-machines` it is ambiguous, as for one customer; with it all are reissued."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    document = desk.machine_info(hostname="prod-2", customer=None)
    more = ("--accept", "additional-machine", "--reason", "second server")
    desk.ok("sign", "--customer", "c1", "--machine-info", document, *more)
    outcome = desk.run("reissue", "c1", "c2", "--users", "30")
    assert outcome.code == 20
    assert "or each of them: --all-machines" in outcome.text
    assert "reissued 1, failed 1" in outcome.text
    assert old_id(1)[:8] in outcome.text or "--machine prod-1" in outcome.text
    assert (
        "reissued 2, kept 1"
        in desk.ok("reissue", "c1", "c2", "--users", "30", "--all-machines").text
    )


def test_an_expired_license_of_a_customer_is_named(desk: Desk) -> None:
    """A reissue of all of the customer's licenses leaves it out, and states why."""
    add_customers_at(desk, range(1, 2), ends_in=-30)
    document = desk.machine_info(hostname="prod-2", customer=None)
    more = ("--accept", "additional-machine", "--reason", "second server")
    desk.ok("sign", "--customer", "c1", "--machine-info", document, *more)
    argv = ("reissue", "c1", "--all-machines", "--users", "30")
    why = f"license {old_id(1)[:8]} expired at 2026-10-31T09:30:00Z, and a reissue keeps the expiry"
    preview = desk.ok(*argv, "--report", str(desk.folder / "preview.csv"), "--dry-run")
    assert why in " ".join(preview.text.split())
    assert why in desk.ok(*argv, "--report", str(desk.folder / "done.json")).text
    kept = desk.ok(*argv, "--report", str(desk.folder / "kept.json")).text
    assert f"kept c1: up to date: servers accept its file until 2026-12-07T09:30:00Z; {why}" in kept


def test_an_order_id_alone_reissues_nothing_and_is_not_lost(desk: Desk) -> None:
    """The kept license is named with the command that changes its order id."""
    add_customers_at(desk, range(1, 3), ends_in=200)
    order = ("--order-id", "PO-7")
    assert "license edit" not in desk.ok("reissue", "c1", "c2", "--users", "30", *order).text
    same = desk.ok("reissue", "c1", "c2", "--users", "30", *order).text
    assert ("nothing to do, kept 2" in same, "license edit" in same) == (True, False)
    other = desk.ok("reissue", "--all", "--users", "30", "--order-id", "PO-8").text
    assert other.count("to change its order id or note alone: polygent-issue license edit ") == 2
    assert "nothing to do, kept 2" in other
