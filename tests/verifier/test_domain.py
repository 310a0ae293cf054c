"""FORMAT §3: allowed domains and hosts, beyond the vectors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.verifier import AllowedDomain, InvalidDomain

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
LAST = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(label=LABEL, middle=LABEL, last=LAST, port=st.sampled_from(["", ":", ":1", ":65535"]))
def test_star_matches_one_label(label: str, middle: str, last: str, port: str) -> None:
    """One more label matches; none and two do not, with or without a port."""
    domain = AllowedDomain.parse(f"*.{middle}.{last}")
    assert domain.matches(f"{label}.{middle}.{last}{port}")
    assert domain.matches(f"{label}.{middle}.{last}.{port}".upper())
    assert not domain.matches(f"{middle}.{last}{port}")
    assert not domain.matches(f"{label}.{label}.{middle}.{last}{port}")


@given(label=LABEL, last=LAST)
def test_exact_name_matches_only_itself(label: str, last: str) -> None:
    """An exact name matches itself, no name below it and none above."""
    domain = AllowedDomain.parse(f"{label}.{last}")
    assert domain.matches(f"{label}.{last}")
    assert not domain.matches(f"x.{label}.{last}")
    assert not domain.matches(last)


@given(host=st.text(st.characters(codec=None)))
@pytest.mark.parametrize("text", ["*.acme.internal", "acme.internal"])
def test_any_host_is_answered(text: str, host: str) -> None:
    """Any text either matches or not; it matches only if FORMAT's grammar allows it."""
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\." if text[0] == "*" else ""
    expected = re.compile(label + r"(?i:acme\.internal)\.?(?::[0-9]{0,5})?", re.ASCII)
    assert AllowedDomain.parse(text).matches(host) is bool(expected.fullmatch(host))


@given(text=st.text(st.characters(codec=None)))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """A text becomes a domain with the same text, or InvalidDomain with a printable message."""
    try:
        assert str(AllowedDomain.parse(text)) == text
    except InvalidDomain as error:
        refusal = error
    else:
        return
    assert refusal.code == "invalid_domain"
    assert refusal.message.isascii()
    assert refusal.message.isprintable()


def test_no_domain_exists_unchecked() -> None:
    """The constructor checks as `parse` does."""
    with pytest.raises(InvalidDomain):
        AllowedDomain("10.0.0.1")


def test_international_name_gets_the_a_label_hint() -> None:
    """Only a text that is not ASCII gets the hint about A-labels."""
    with pytest.raises(InvalidDomain) as international:
        AllowedDomain.parse("b\u00fccher.example")
    with pytest.raises(InvalidDomain) as plain:
        AllowedDomain.parse("a..b")
    assert "xn--" in str(international.value.hint)
    assert plain.value.hint is None
