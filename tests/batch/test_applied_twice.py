"""Any file applied twice: issued licenses are kept, and failed rows fail again."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.batches import Batches, accepting, words
from support.many_customers import fingerprint
from support.office import NOW, open_office

from polygent_issuer.findings import Consent, FindingCode

CONSENTS = st.sampled_from([Consent(), accepting(*FindingCode)])
DAYS = st.integers(min_value=-80, max_value=900)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["standard-annual", "enterprise-annual", "trial"]),
        "tier": st.sampled_from(["standard", "enterprise"]),
        "users": st.integers(min_value=1, max_value=50),
        "session_hosts": st.integers(min_value=0, max_value=3),
        "features": st.lists(st.sampled_from(["insights", "bots", "sso-saml"]), unique=True),
        "allowed_domain": st.just("*.globex.internal"),
        "machine": st.sampled_from(["prod-1", "prod-2"]),
    },
)
WHEN: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.sampled_from(["1d", "10d", "1mo", "1y", "3y"]).map(lambda term: {"term": term}),
    DAYS.map(lambda days: {"expires": (NOW + timedelta(days=days)).strftime("%Y-%m-%d")}),
)


@st.composite
def wishes(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows for some customers: three with a license and three new ones."""
    names = draw(st.lists(st.sampled_from(["c1", "c2", "c3", "X", "Y", "Z"]), unique=True))
    rows = []
    for name in names:
        row = {"customer": name, **draw(FIELDS), **draw(WHEN)}
        if draw(st.booleans()):
            row["machine_info"] = f"m{draw(st.integers(min_value=1, max_value=9))}.json"
        rows.append(row)
    return rows


@given(wishes(), DAYS, CONSENTS)
@example(
    rows=[{"customer": "c1", "tier": "enterprise", "machine_info": "m1.json"}],
    ends_in=0,
    consent=Consent(),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_license_is_issued_twice(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    ends_in: int,
    consent: Consent,
) -> None:
    """Any rows, expiries and consents give the same licenses when they are applied again."""
    with open_office(tmp_path_factory.mktemp("office")) as office:
        batches = Batches(office)
        batches.crowd(3, expires_at=NOW + timedelta(days=ends_in))
        for number in range(1, 10):
            document = office.document(fingerprint(number)).content
            (office.folder / f"m{number}.json").write_bytes(document)
        text = "".join(
            "[[license]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in row.items())
            for row in rows
        )
        first = words(batches.done(batches.rows(text or "[defaults]\n", consent=consent)))
        before = len(batches.licenses())
        second = words(batches.done(batches.rows(text or "[defaults]\n", consent=consent)))
        assert len(batches.licenses()) == before, (first, second)
        assert batches.pending() == []
        assert batches.sound()
        for done, again in zip(first, second, strict=True):
            assert again in ("keep", done), (done, again)
            assert again == "keep" or done not in ("sign", "renew", "reissue")
