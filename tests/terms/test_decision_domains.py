"""Allowed domains for people: the depth of a wildcard, and patterns that cover several hosts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.terms.decision import covering_domains, wildcard_depth
from polygent_issuer.verifier import AllowedDomain, InvalidDomain

LABEL = st.sampled_from(["a", "b", "api", "v2", "10"])
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


def test_the_depth_of_a_wildcard_has_examples_that_match() -> None:
    """The first example matches, the other two do not; an exact name needs none."""
    domain = AllowedDomain("*.acme.internal")
    text = wildcard_depth(domain)
    assert text == (
        "exactly one level: api.acme.internal, but neither acme.internal nor api.v2.acme.internal"
    )
    names = [word.strip(",") for word in text.split() if "." in word]
    assert [domain.matches(name) for name in names] == [True, False, False]
    assert wildcard_depth(AllowedDomain("api.acme.internal")) is None


@pytest.mark.parametrize(
    ("hosts", "patterns"),
    [
        (["API.new.internal:8443"], ["api.new.internal", "*.new.internal"]),
        (["intranet."], ["intranet"]),
        (["a.b"], ["a.b"]),
        (["10.0.0.1"], []),
        (["a_b.c.d"], []),
        (["\u00fc.c.d"], []),
        (["a.c.d", "b.c.d:80", "A.C.D."], ["*.c.d"]),
        (["a.c.d", "A.c.d:1"], ["a.c.d", "*.c.d"]),
        (["a.c.d", "c.d"], []),
        (["a.c.d", "a.b.c.d"], []),
        (["a.b", "c.b"], []),
    ],
)
def test_the_patterns_that_cover_hosts(hosts: list[str], patterns: list[str]) -> None:
    """Ports, a final dot and case do not matter; addresses and different levels have none."""
    assert list(map(str, covering_domains(hosts))) == patterns


@given(hosts=st.lists(HOST, min_size=1, max_size=4))
def test_exactly_the_patterns_that_cover_all_hosts(hosts: list[str]) -> None:
    """No other name or wildcard made of the hosts covers them all."""
    candidates = {text for host in hosts for text in (host, f"*.{host.partition('.')[2]}")}
    expected = set()
    for text in candidates:
        try:
            domain = AllowedDomain(text)
        except InvalidDomain:
            continue
        if all(map(domain.matches, hosts)):
            expected.add(domain)
    assert set(covering_domains(hosts)) == expected
