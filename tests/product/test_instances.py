"""Enterprise licenses and several instances: rules 4, 6, 7, 26, 28 to 35, 62 and 67."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.lic_files import license_id
from support.product import Node, Product
from support.servers import DAY, MACHINE

from polygent_issuer.verifier import AllowedDomain

pytestmark = pytest.mark.slow

DOMAIN = AllowedDomain.parse("*.acme.internal")
COVERED = "api.acme.internal"


@pytest.fixture
def nodes(served: Product, node: Node) -> Iterator[tuple[Node, Node]]:
    """Two API servers on machines of their own, each with one or four workers."""
    with served.node(issuer=node.issuer, machine="sha256:" + "ef" * 32) as other:
        yield node, other


@pytest.fixture
def bound(node: Node) -> Node:
    """A node with a license for `*.acme.internal`."""
    file = node.issuer.file(0, fingerprint=None, allowed_domain=DOMAIN)
    assert node.upload(file) == (200, "")
    assert node.becomes(503, "domain_mismatch"), "the tests ask at localhost"
    return node


def enterprise(node: Node, number: int) -> bytes:
    """Return an enterprise license."""
    return node.issuer.file(number, fingerprint=None, replaces=range(number))


def test_a_standard_license_works_on_a_single_server(nodes: tuple[Node, Node]) -> None:
    """The second server refuses the file."""
    one, other = nodes
    one.install(0)
    assert other.upload(one.issuer.file(0)) == (400, "machine_mismatch")


def test_an_enterprise_license_works_on_several_nodes(nodes: tuple[Node, Node]) -> None:
    """Each worker of each node serves requests, and the status of the tier has no machine."""
    file = enterprise(nodes[0], 0)
    for node in nodes:
        assert node.upload(file) == (200, "")
        assert node.becomes(200)
        status = node.status()
        assert (status["tier"], status["machineId"]) == ("enterprise", None)


def test_an_enterprise_license_may_have_a_domain_or_none(nodes: tuple[Node, Node]) -> None:
    """Without one any host name works; with one only those that match."""
    one, other = nodes
    one.upload(enterprise(one, 0))
    other.upload(one.issuer.file(0, fingerprint=None, allowed_domain=DOMAIN))
    assert one.becomes(200)
    assert other.becomes(503, "domain_mismatch")
    assert one.answers("GET", "/api/projects", host=COVERED) == {(200, "")}
    assert other.answers("GET", "/api/projects", host=COVERED) == {(200, "")}


def test_an_enterprise_license_is_renewed_on_every_instance(nodes: tuple[Node, Node]) -> None:
    """The instance without the upload keeps the earlier license, until it gets the file, too."""
    file, renewed = enterprise(nodes[0], 0), enterprise(nodes[0], 1)
    for node in nodes:
        assert node.upload(file) == (200, "")
        node.set_clock(node.now + DAY)
    assert nodes[0].upload(renewed) == (200, "")
    assert nodes[0].has_license(1)
    assert nodes[1].has_license(0)
    assert nodes[1].upload(renewed) == (200, "")
    assert nodes[1].has_license(1)


def test_a_reimaged_node_takes_the_same_file(node: Node, served: Product) -> None:
    """A node with a new machine and an empty store works with the file of the others."""
    file = enterprise(node, 0)
    assert node.upload(file) == (200, "")
    with served.node(issuer=node.issuer, machine="sha256:" + "12" * 32) as green:
        green.set_clock(node.now + 6 * DAY)
        assert green.upload(file) == (200, "")
        assert green.becomes(200)
    assert node.becomes(200)


def test_instances_verify_independently(nodes: tuple[Node, Node]) -> None:
    """Neither license, expiry nor clock of one instance affects another; they share no host cap."""
    one, other = nodes
    one.upload(enterprise(one, 0))
    assert one.becomes(200)
    assert other.answers("GET", "/api/projects") == {(503, "license_none")}
    other.upload(enterprise(one, 0))
    assert other.becomes(200)
    one.set_clock(one.now + 366 * DAY)
    assert one.becomes(503, "license_expired")
    assert other.becomes(200)


def test_instances_are_not_coordinated(nodes: tuple[Node, Node]) -> None:
    """The caps of hosts hold for each instance."""
    one, other = nodes
    for node in nodes:
        node.upload(enterprise(one, 0))
        assert node.becomes(200)
    with one.agent("deploy", "a"), other.agent("deploy", "b"):
        assert one.refused("/api/agents/deploy?host=c")[1] == "host_limit"
        for node in nodes:
            assert node.status()["deployHosts"] == {"connected": 1, "cap": 1}


def test_the_status_has_the_allowed_domain(bound: Node) -> None:
    """A wildcard is shown as it was issued."""
    assert bound.status()["allowedDomain"] == "*.acme.internal"


def test_the_host_of_every_request_is_checked(bound: Node) -> None:
    """Reads, writes and agents at another host name are refused, in each worker."""
    for method in ("GET", "POST"):
        assert bound.answers(method, "/api/projects") == {(503, "domain_mismatch")}
        assert bound.answers(method, "/api/projects", host=COVERED) == {(200, "")}
    assert bound.refused("/api/agents/session?host=a", host="localhost")[1] == "domain_mismatch"
    with bound.agent("session", "a", host=COVERED):
        assert bound.status()["sessionHosts"]["connected"] == 1


def test_a_wildcard_matches_one_level(bound: Node) -> None:
    """`api.v2.acme.internal` and `acme.internal` do not match `*.acme.internal`."""
    assert bound.answers("GET", "/api/projects", host="www.acme.internal") == {(200, "")}
    for host in ("api.v2.acme.internal", "acme.internal", "api.acme.example"):
        assert bound.answers("GET", "/api/projects", host=host) == {(503, "domain_mismatch")}


def test_a_changed_host_name_needs_a_reissue(bound: Node) -> None:
    """A license for the new domain works at once, and the old name is refused."""
    bound.set_clock(bound.now + timedelta(hours=25))
    domain = AllowedDomain.parse("*.acme.example")
    file = bound.issuer.file(1, fingerprint=None, allowed_domain=domain, replaces=(0,))
    assert bound.upload(file) == (200, "")
    assert bound.has_license(1)
    assert bound.answers("GET", "/api/projects", host="api.acme.example") == {(200, "")}
    assert bound.answers("GET", "/api/projects", host=COVERED) == {(503, "domain_mismatch")}


def test_the_log_of_installs_is_the_same_in_all_workers(node: Node) -> None:
    """It has each upload, accepted or not, the newest first."""
    for number in range(3):
        node.set_clock(node.now + DAY)
        assert node.upload(enterprise(node, number)) == (200, "")
    node.upload(b"nonsense")
    log = node.status()["installLog"]
    assert [each["licenseId"] for each in log] == [None, *map(license_id, (2, 1, 0))]
    assert [each["outcome"] for each in log] == ["malformed", *("installed",) * 3]
    assert {each["by"] for each in log} == {"ada"}
    assert MACHINE not in str(log)
