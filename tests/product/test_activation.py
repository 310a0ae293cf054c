"""Upload, checks and renewal: rules 2, 5, 12, 16 to 20, 25, 54 and 56."""

from datetime import timedelta

import pytest
from support.lic_files import ISSUED, license_id
from support.product import Node
from support.servers import ANOTHER_MACHINE, DAY, MACHINE

pytestmark = pytest.mark.slow


def test_a_worker_connects_to_no_other_machine(node: Node) -> None:
    """A license is checked with the public key alone; a worker's connections are recorded."""
    node.install(0)
    assert not (node.product.folder / "phoned-home").exists()


def test_a_standard_license_is_bound_to_a_machine(node: Node) -> None:
    """It works on its machine, and stops on another one."""
    node.install(0)
    node.set_machine(ANOTHER_MACHINE)
    assert node.becomes(503, "license_machine_changed")


def test_machine_info_has_the_fingerprint(node: Node) -> None:
    """Each worker answers the document without a license."""
    for answer in node.everywhere("GET", "/api/machine-info"):
        assert answer.json()["fingerprint"] == MACHINE


def test_the_signature_is_checked_at_upload(node: Node) -> None:
    """A changed file is refused, and the present license stays."""
    node.install(0)
    file = node.issuer.file(1)
    half = len(file) // 2
    changed = file[:half] + (b"A" if file[half : half + 1] != b"A" else b"B") + file[half + 1 :]
    assert node.upload(changed) == (400, "bad_signature")
    assert node.status()["licenseId"] == license_id(0)


def test_the_fingerprint_is_checked_at_upload(node: Node) -> None:
    """A standard license for another machine is refused."""
    file = node.issuer.file(0, fingerprint=ANOTHER_MACHINE)
    assert node.upload(file) == (400, "machine_mismatch")
    assert node.answers("GET", "/api/projects") == {(503, "license_none")}


def test_the_expiry_is_checked_at_upload(node: Node) -> None:
    """An expired license is refused."""
    file = node.issuer.file(0, exp=int(node.now.timestamp()))
    assert node.upload(file) == (400, "expired")


def test_the_issue_date_is_checked_at_upload(node: Node) -> None:
    """A license that was issued before the freshness window is refused."""
    node.set_clock(ISSUED + 7 * DAY + timedelta(seconds=1))
    assert node.upload(node.issuer.file(0)) == (400, "stale_issue_date")
    node.set_clock(ISSUED + 7 * DAY - timedelta(seconds=1))
    node.install(0)


def test_after_an_upload_the_product_works_at_once(node: Node) -> None:
    """All workers that refused before serve the request and run their background services."""
    assert node.answers("GET", "/api/projects") == {(503, "license_none")}
    assert node.seen_by_workers("/", "background") == {"license_none"}
    assert node.upload(node.issuer.file(0)) == (200, "")
    assert node.becomes(200)
    assert node.background_becomes("running")


def test_a_renewal_works_without_a_restart(node: Node) -> None:
    """The same processes have the renewed license, before the expiry of the first."""
    node.install(0)
    workers = set(node.product.workers)
    node.set_clock(node.now + DAY)
    assert node.upload(node.issuer.file(1, replaces=(0,))) == (200, "")
    assert node.has_license(1)
    answers = node.everywhere("GET", "/")
    assert {int(each.headers["x-worker"]) for each in answers} == workers


def test_a_renewal_ends_an_expiry_at_once(node: Node) -> None:
    """An admin can upload after the expiry, and that takes effect in all workers."""
    node.install(0)
    node.set_clock(ISSUED + 365 * DAY)
    assert node.becomes(503, "license_expired")
    file = node.issuer.file(364)
    member = {"x-user": "ben"}
    refused = node.answers("POST", "/api/license", content=file, headers=member)
    assert refused == {(403, "not_an_admin")}
    assert node.upload(file) == (200, "")
    assert node.becomes(200)
    assert node.background_becomes("running")
