"""ENFORCEMENT.md and the code have the same tables and figures."""

import re
from datetime import timedelta
from inspect import signature

from support.servers import Server

from polygent_issuer.enforcement import DEFAULT_ROUTES, ServerLicense, State, refusals
from polygent_issuer.enforcement.alerts import HOUR, MILESTONES
from polygent_issuer.enforcement.asgi import MAX_REASON, POLICY_VIOLATION
from polygent_issuer.enforcement.paths import RECOVERY, Route
from polygent_issuer.enforcement.refusals import Refusal
from polygent_issuer.enforcement.store import REFUSALS_KEPT
from polygent_issuer.guide import ENFORCEMENT

RULES = ENFORCEMENT.read_text(encoding="utf-8")
WORDS = " ".join(RULES.split())


def test_each_state_has_its_refusal() -> None:
    """The table of 2.1 has every state, with the status and code of its refusal."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:(\d+) `(\w+)`)? *\|$", RULES, re.MULTILINE)
    expected = {str(state): (str(r.status), r.code) for state, r in refusals.OF_STATE.items()}
    assert {state: (status, code) for state, status, code in rows} == {
        **expected,
        str(State.ACTIVE): ("", ""),
    }


def test_each_refusal_is_in_a_rule() -> None:
    """Each refusal of the code is in the document, with its status."""
    made = [each for each in vars(refusals).values() if isinstance(each, Refusal)]
    made += [refusals.user_limit(1, 1), refusals.user_limit(1, 1, activation=True)]
    assert len(made) > 5
    for refusal in made:
        assert f"{refusal.status} `{refusal.code}`" in WORDS, refusal.code
    assert refusals.HOST_LIMIT.message in WORDS


def test_each_route_is_in_the_table() -> None:
    """The table of 5.1 has every kind, and the default routes in their order."""
    table = RULES[RULES.index("**5.1**") : RULES.index("**5.2**")]
    kinds = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)))
    assert set(kinds) == set(Route)
    assert set(kinds[:6]) == RECOVERY
    for method, path in DEFAULT_ROUTES:
        assert f"`{path}`" in table
        assert method == "WEBSOCKET" or f"{method} `{path}`" in table


def test_each_member_of_the_status_is_in_the_table(server: Server) -> None:
    """The table of 10.1 has the members in their order, and no other."""
    table = RULES[RULES.index("**10.1**") : RULES.index("**10.2**")]
    names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)))
    assert names == [*server.license.status(server.now, users_active=0).to_json()]


def test_figures() -> None:
    """Windows, milestones and limits are those of the code."""
    window = signature(ServerLicense).parameters["freshness_window"].default
    assert window == timedelta(days=7)
    assert "(7 days unless configured otherwise)" in WORDS
    assert f"a {HOUR:02}:00 in the time zone of the server" in WORDS
    assert "Milestones are {3}, {2}, {1} and {0} days".format(*MILESTONES) in WORDS
    assert f"the newest {REFUSALS_KEPT:,} of refused uploads" in WORDS
    assert f"immediately with {POLICY_VIOLATION}" in WORDS
    assert f"{MAX_REASON} bytes of UTF-8" in WORDS
