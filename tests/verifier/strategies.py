"""Hypothesis strategies for licenses, names and circumstances."""

from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from polygent_issuer.verifier.license import canonical_fingerprint, display_name_problem
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

LAST_SECOND = 253_402_300_799
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=ZONES)
ANY_TEXT = st.text(st.characters(codec=None))

display_names = st.text(min_size=1, max_size=30).filter(
    lambda text: display_name_problem(text) is None
)
slugs = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
license_ids = st.uuids().map(str)
feature_names = st.sampled_from(FEATURES) | st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True)
fingerprints = (
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)
    .map(canonical_fingerprint)
    .filter(lambda form: form is not None)
)
domains = st.from_regex(r"(\*\.)?[a-z0-9]{1,9}\.([a-z0-9]{1,9}\.)?[a-z]{1,9}", fullmatch=True)


@st.composite
def claims(draw: st.DrawFn) -> dict[str, Any]:
    """The claims of any valid license, in JSON's types."""
    standard = draw(st.booleans())
    iat = draw(st.integers(1, LAST_SECOND - 1))
    pool = feature_names if standard else feature_names | st.sampled_from(ENTERPRISE_FEATURES)
    features = pool.filter(lambda name: not (standard and name in ENTERPRISE_FEATURES))
    jti = draw(license_ids)
    made: dict[str, Any] = {
        "ver": 1,
        "iss": draw(display_names),
        "sub": draw(slugs),
        "jti": jti,
        "iat": iat,
        "exp": draw(st.integers(iat + 1, LAST_SECOND)),
        "customer": draw(display_names),
        "tier": "standard" if standard else "enterprise",
        "features": draw(st.lists(features, unique=True, max_size=8)),
        "limits": {
            "users": draw(st.integers(1, 1_000_000)),
            "sessionHosts": draw(st.integers(0, 1_000_000)),
            "deployHosts": draw(st.integers(0, 1_000_000)),
        },
    }
    if standard:
        made["machineFingerprint"] = draw(fingerprints)
    elif draw(st.booleans()):
        made["allowedDomain"] = draw(domains)
    others = license_ids.filter(lambda other: other != jti)
    if replaced := draw(st.lists(others, unique=True, max_size=3)):
        made["replaces"] = replaced
    return made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def any_circumstances(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `Verifier.verify` other than the file, without a clock guard."""
    return {
        "now": draw(INSTANTS),
        "fingerprint": draw(st.none() | fingerprints | ANY_TEXT),
        "host": draw(st.none() | domains | ANY_TEXT),
        "freshness_window": draw(st.none() | st.timedeltas()),
    }
