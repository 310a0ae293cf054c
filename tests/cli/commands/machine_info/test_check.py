"""`polygent-issue machine-info check`: content, age and known machines of a document."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.licenses import Books

FINGERPRINT = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def printed(desk: Desk, *argv: str) -> str:
    """Return the lines that a check prints."""
    return desk.run("machine-info", "check", *argv).text


def test_a_fresh_document_is_exit_0(desk: Desk) -> None:
    """Its content and age are printed."""
    path = desk.machine_info(os="Linux 6.1", productVersion="4.2", components={"board": "b"}, z=1)
    assert desk.ok("machine-info", "check", path).text.splitlines() == [
        f"contents of {path}:",
        f"  fingerprint  {FINGERPRINT}",
        "  created      2026-11-30T08:30:00Z (1h ago)",
        "  hostname     prod-1",
        "  system       Linux 6.1",
        "  product      4.2",
        "  customer     Acme GmbH (unverified)",
        "  components   board",
        "  ignored      z",
        "fresh: not older than 14d",
        "known machine: none with this fingerprint",
    ]


def test_json_has_the_document_and_its_age(desk: Desk) -> None:
    """JSON has one object; scripts use `fresh`."""
    path = desk.machine_info(components={"board": "b"}, z=1)
    assert desk.ok("machine-info", "check", path, "--json").json == {
        "schema": "polygent-issue/1",
        "file": path,
        "fresh": True,
        "age_seconds": 3600,
        "max_age_seconds": 14 * 86_400,
        "fingerprint": FINGERPRINT,
        "generated_at": "2026-11-30T08:30:00Z",
        "hostname": "prod-1",
        "os": None,
        "product_version": None,
        "customer": "Acme GmbH",
        "components": {"board": "b"},
        "ignored": ["z"],
        "finding": None,
        "findings": [],
        "known": [],
        "known_hosts": [],
        "notes": [],
    }


@pytest.mark.parametrize(
    ("age", "shown", "fresh"),
    [
        (timedelta(seconds=59), "less than a minute ago", True),
        (timedelta(seconds=60), "1m ago", True),
        (timedelta(hours=2, minutes=59), "2h ago", True),
        (timedelta(hours=47, minutes=59), "47h ago", True),
        (timedelta(days=14), "14d ago", True),
        (timedelta(days=14, seconds=1), "14d ago", False),
        (timedelta(minutes=-5), "5m in the future", True),
        (timedelta(minutes=-5, seconds=-1), "5m in the future", False),
        (timedelta(seconds=-30), "less than a minute in the future", True),
    ],
)
def test_the_age_is_checked(desk: Desk, age: timedelta, shown: str, fresh: bool) -> None:  # noqa: FBT001 - a verdict
    """It is fresh from 5 minutes ahead to 14 days; a stale document is exit 4."""
    made = (desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = desk.machine_info(generatedAt=made)
    outcome = desk.run("machine-info", "check", path)
    assert outcome.code == (0 if fresh else 4)
    assert f"({shown})" in outcome.text
    assert ("stale-machine-info: " in outcome.text) is not fresh
    result = desk.run("machine-info", "check", path, "--json")
    assert result.code == outcome.code
    assert result.json["fresh"] is fresh
    assert result.json["age_seconds"] == age // timedelta(seconds=1)


def test_a_stale_document_has_a_finding(desk: Desk) -> None:
    """The finding and its hint are printed as text and in JSON, not as an error."""
    path = desk.machine_info(generatedAt="2026-10-01T00:00:00Z")
    assert "  ask the customer to download the machine info again\n" in printed(desk, path)
    finding = desk.run("machine-info", "check", path, "--json").json["finding"]
    assert finding["code"] == "stale-machine-info"
    assert finding["hint"] == "ask the customer to download the machine info again"


def test_a_placeholder_fingerprint_is_a_finding(desk: Desk) -> None:
    """A fresh document is still exit 4; a stale one has both findings."""
    path = desk.machine_info(fingerprint="uninitialized")
    outcome = desk.run("machine-info", "check", path)
    assert outcome.code == 4
    assert (
        "fresh: not older than 14d\nimplausible-fingerprint: the fingerprint uninit" in outcome.text
    )
    result = desk.run("machine-info", "check", path, "--json").json
    assert (result["fresh"], result["finding"]) == (True, None)
    assert [each["code"] for each in result["findings"]] == ["implausible-fingerprint"]
    path = desk.machine_info(fingerprint="sha256:abc", generatedAt="2026-10-01T00:00:00Z")
    result = desk.run("machine-info", "check", path, "--json").json
    codes = [each["code"] for each in result["findings"]]
    assert codes == ["stale-machine-info", "implausible-fingerprint"]


def test_the_setting_limits_the_age(desk: Desk) -> None:
    """The setting of the home limits the age of a fresh document."""
    path = desk.machine_info()
    desk.ok("config", "set", "machine_info_max_age", "30m")
    outcome = desk.run("machine-info", "check", path, "--json")
    assert (outcome.code, outcome.json["max_age_seconds"]) == (4, 1800)


def test_the_customer_of_the_machine_is_named(desk: Desk) -> None:
    """A document that names another customer is reported, in any spelling."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    owner = "known machine: prod-1 of Acme GmbH (acme-gmbh), since 2026-11-30T09:30:00Z"
    text = printed(desk, desk.machine_info(customer="ACME  gmbh"))
    assert text.endswith(f"{owner}\n")
    text = printed(desk, desk.machine_info(customer="Globex"))
    assert text.endswith(f"{owner}\n  the document names another customer: Globex\n")
    assert desk.ok("machine-info", "check", desk.machine_info(), "--json").json["known"] == [
        {
            "customer": "acme-gmbh",
            "customer_name": "Acme GmbH",
            "machine": "prod-1",
            "since": "2026-11-30T09:30:00Z",
            "until": None,
        }
    ]


def test_a_known_host_name_is_named(desk: Desk) -> None:
    """A new fingerprint under the name of known hosts: customer and label of each machine."""
    for number in range(5):
        sent = {"customer": f"Customer {number}", "fingerprint": f"sha256:{number + 1:064x}"}
        desk.ok("sign", "--label", "web", "--machine-info", desk.machine_info(**sent))
    path = desk.machine_info(hostname="PROD-1", customer=None, fingerprint=OTHER)
    text = desk.ok("machine-info", "check", path).text
    for number in range(5):
        line = f"known host name: web of Customer {number} (customer-{number}), with another finger"
        assert (line in text) is (number < 3)
    assert text.endswith("  2 more machines have this host name (--json lists all)\n")
    hosts = desk.ok("machine-info", "check", path, "--json").json["known_hosts"]
    assert [host["customer"] for host in hosts] == [f"customer-{number}" for number in range(5)]
    assert (hosts[0]["machine"], hosts[0]["hostname"]) == ("web", "prod-1")
    path = desk.machine_info(fingerprint=f"sha256:{1:064x}")
    hosts = desk.ok("machine-info", "check", path, "--json").json["known_hosts"]
    assert "customer-0" not in [host["customer"] for host in hosts]
    path = desk.machine_info(hostname=None, fingerprint=OTHER)
    assert "host name" not in desk.ok("machine-info", "check", path).text


def test_an_earlier_fingerprint_has_its_period(desk: Desk) -> None:
    """A replaced fingerprint is printed with its end."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    new = desk.machine_info("new.json", fingerprint=OTHER)
    desk.ok("reissue", "acme-gmbh", "--machine-info", new, after=timedelta(days=1))
    text = printed(desk, desk.machine_info("old.json"))
    assert "since 2026-11-30T09:30:00Z until 2026-12-01T09:30:00Z\n" in text


def test_no_home_is_needed(empty_desk: Desk) -> None:
    """Without a home the defaults apply, and none is created."""
    path = empty_desk.machine_info()
    outcome = empty_desk.ok("machine-info", "check", path)
    assert "fresh: not older than 14d\n" in outcome.text
    assert "known machine: not checked without a home\n" in outcome.text
    assert empty_desk.ok("machine-info", "check", path, "--json").json["known"] is None
    assert not empty_desk.home.exists()


@pytest.mark.sqlite("about the file")
def test_a_broken_home_is_an_error(desk: Desk) -> None:
    """A home without its registry is exit 7."""
    (desk.home / "registry.db").unlink()
    assert desk.run("machine-info", "check", desk.machine_info()).code == 7


def test_a_document_is_read_from_stdin(empty_desk: Desk) -> None:
    """`-` reads stdin in any encoding of FORMAT §4."""
    data = Path(empty_desk.machine_info()).read_text().encode("utf-16")
    outcome = empty_desk.ok("machine-info", "check", "-", "--json", stdin=data)
    assert outcome.json["fingerprint"] == FINGERPRINT


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_machine_info"),
        (b"{}", "invalid_machine_info"),
        (
            b'{"fingerprint": "short", "generatedAt": "2026-11-30T08:30:00Z"}',
            "invalid_machine_info",
        ),
        (b"x" * 70_000, "unreadable_input"),
    ],
)
def test_a_refused_document_is_exit_3(empty_desk: Desk, content: bytes, code: str) -> None:
    """The message states the problem and what to ask the customer for."""
    path = empty_desk.folder / "m.json"
    path.write_bytes(content)
    outcome = empty_desk.run("machine-info", "check", str(path), "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == code
    assert outcome.json["error"]["hint"]


def test_ignored_names_are_escaped(empty_desk: Desk) -> None:
    """An ignored name may contain control characters, which are escaped."""
    foreign: dict[str, Any] = {"\x1b[31m[/red]\u202e": 1}
    path = empty_desk.machine_info(**foreign)
    text = printed(empty_desk, path)
    assert r"ignored      \x1b[31m[/red]\u202e" in text
    json.loads(empty_desk.run("machine-info", "check", path, "--json").out.decode("ascii"))


def test_a_missing_file_is_exit_3(empty_desk: Desk) -> None:
    """A missing file is exit 3."""
    assert empty_desk.run("machine-info", "check", "nowhere.json").code == 3


def test_another_hostname_may_be_a_clone(desk: Desk) -> None:
    """One fingerprint with two host names is noted; case does not matter."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    path = desk.machine_info(hostname="PROD-1")
    assert desk.ok("machine-info", "check", path, "--json").json["notes"] == []
    text = printed(desk, desk.machine_info(hostname="web-7", customer="Globex"))
    clone = (
        "  possible clone: this host is web-7, but its fingerprint is registered for prod-1 "
        "(Acme GmbH, acme-gmbh, machine prod-1) since 2026-11-30T09:30:00Z"
    )
    assert f"{clone}\n" in text
    desk.ok("reissue", "acme-gmbh", "--machine-info", desk.machine_info(fingerprint=OTHER))
    text = printed(desk, desk.machine_info(hostname="web-7"))
    assert f"{clone} until 2026-11-30T09:30:00Z\n" in text


def test_the_likely_machine_is_compared(desk: Desk) -> None:
    """Its components are compared with the machine of the same host name, or the only one."""
    first = desk.machine_info(components={"board": "1", "disk": "1"})
    desk.ok("sign", "--machine-info", first)
    reissue = "polygent-issue reissue acme-gmbh --machine prod-1"
    new: dict[str, Any] = {
        "fingerprint": OTHER,
        "components": {"board": "2", "disk": "1", "cpu": "1"},
    }
    notes = desk.ok("machine-info", "check", desk.machine_info(**new), "--json").json["notes"]
    assert notes == [
        (
            "this may be the machine prod-1 of acme-gmbh after a change; "
            f"if so: {reissue} --machine-info FILE"
        ),
        "components compared with prod-1: board changed, cpu added, disk same",
    ]
    desk.ok(
        "reissue", "acme-gmbh", "--machine", "prod-1", "--machine-info", desk.machine_info(**new)
    )
    third = desk.machine_info(fingerprint="ef" * 32, hostname="elsewhere")
    assert "  2nd machine change in 12 months: prod-1\n" in printed(desk, third)
    back = printed(desk, first_again(desk))
    assert "components compared with prod-1: board changed, cpu removed, disk same\n" in back
    assert "  2nd machine change in 12 months: prod-1\n" in back


def first_again(desk: Desk) -> str:
    """Return the document of the machine as it was first."""
    return desk.machine_info(components={"board": "1", "disk": "1"})


def test_no_machine_is_guessed_among_several(desk: Desk) -> None:
    """With several other host names or an unknown customer none is compared."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    second = desk.machine_info(fingerprint=OTHER, hostname="prod-2")
    flags = ("--customer", "Acme GmbH", "--accept", "additional-machine", "--reason", "x")
    desk.ok("sign", "--machine-info", second, *flags)
    for more in ({"hostname": "prod-3"}, {"customer": "Globex"}, {"customer": None}):
        path = desk.machine_info(fingerprint="ef" * 32, **more)
        assert desk.ok("machine-info", "check", path, "--json").json["notes"] == []
    path = desk.machine_info(fingerprint="ef" * 32, hostname="prod-2")
    assert "the machine prod-2 of acme-gmbh after a change" in printed(desk, path)


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (timedelta(minutes=-3), "created less than an hour ahead of this clock"),
        (timedelta(0), "created less than an hour ago"),
        (timedelta(minutes=59, seconds=59), "created less than an hour ago"),
        (timedelta(hours=1), "created 1 hour ago"),
        (timedelta(hours=23, minutes=59), "created 23 hours ago"),
        (timedelta(hours=30), "created 1 day ago"),
        (timedelta(days=13), "created 13 days ago"),
    ],
)
def test_the_age_is_shown_when_signing(books: Books, age: timedelta, message: str) -> None:
    """A clock slightly ahead counts as no age."""
    made = (books.desk.now - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = books.desk.machine_info(generatedAt=made)
    text = books.desk.ok("sign", "--machine-info", document, "--dry-run").text
    assert f"  document: customer Acme GmbH, host prod-1, {message}\n" in text


def test_an_archived_customer_is_reported(books: Books) -> None:
    """The note names the command that unarchives the customer."""
    books.machine(books.customer())
    books.desk.ok("customer", "archive", "acme", "--reason", "x")
    same = printed(books.desk, books.desk.machine_info())
    assert "known machine: prod-1 of Acme GmbH (acme, archived), since" in same
    changed = printed(books.desk, books.desk.machine_info(fingerprint="cd" * 32))
    assert (
        "this may be the machine prod-1 of acme after a change, "
        "but acme is archived; to unarchive it: polygent-issue"
    ) in changed
    assert "reissue" not in changed
