"""Advice: every failed check says what the customer sees and which command mends it."""

import re
import shlex

import pytest

from polygent_issuer.issuing import remedies
from polygent_issuer.verifier.errors import CheckCode

# FORMAT §5's codes, and the command that each is mended by.
MENDED = {
    "malformed": "polygent-issue license export 1f3a",
    "unknown_key": "polygent-issue key export-public",
    "bad_signature": "polygent-issue license export 1f3a",
    "invalid_claims": "polygent-issue inspect FILE",
    "expired": "polygent-issue renew acme",
    "not_yet_valid": "polygent-issue reissue acme",
    "stale_issue_date": "polygent-issue reissue acme",
    "machine_mismatch": "polygent-issue reissue acme --machine-info FILE",
    "domain_mismatch": "polygent-issue reissue acme --allowed-domain HOST-PATTERN",
    "clock_tampered": "polygent-issue reissue acme",
}


def test_every_check_has_its_advice() -> None:
    """No code of FORMAT §5 leaves the operator alone, and no advice is for a code that is none."""
    assert set(remedies.FOR) == set(CheckCode)
    assert {str(code) for code in remedies.FOR} == set(MENDED)


@pytest.mark.parametrize("code", CheckCode)
def test_the_command_is_complete(code: CheckCode) -> None:
    """With a customer and a license it can be run as it stands, but for what only people know."""
    assert remedies.fix(code, customer=("acme",), license_id="1f3a") == MENDED[code]


@pytest.mark.parametrize("code", CheckCode)
def test_the_command_without_a_name_has_placeholders(code: CheckCode) -> None:
    """A file that is not authentic tells no customer; the command then says where one goes."""
    command = remedies.fix(code)
    assert "{" not in command
    assert command == MENDED[code].replace("acme", "CUSTOMER").replace("1f3a", "LICENSE")


def test_a_name_is_quoted_for_the_shell() -> None:
    """A command that is copied runs nothing but itself."""
    command = remedies.fix(CheckCode.EXPIRED, customer=("x; rm -rf ~",))
    assert shlex.split(command) == ["polygent-issue", "renew", "x; rm -rf ~"]


@pytest.mark.parametrize("code", CheckCode)
def test_advice_is_said_in_one_plain_line(code: CheckCode) -> None:
    """Lower case or a name of the product at its head, no full stop, nothing to fill in."""
    given = remedies.FOR[code]
    for text in (given.sees, given.do):
        assert re.fullmatch(r"(Upload license|[a-z]).*[^. ]", text), text
        assert "  " not in text
        assert "{" not in text


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("malformed", "attachment"),
        ("unknown_key", "public key"),
        ("bad_signature", "altered"),
        ("invalid_claims", "newer version"),
        ("expired", "renew the license"),
        ("not_yet_valid", "clock"),
        ("stale_issue_date", "same expiry"),
        ("machine_mismatch", "Download machine info"),
        ("domain_mismatch", "exactly one label"),
        ("clock_tampered", "issued now ends it"),
    ],
)
def test_the_cause_is_named(code: str, word: str) -> None:
    """What is to be done follows from what went wrong, in the guide's words."""
    assert word in remedies.FOR[CheckCode(code)].do


@pytest.mark.parametrize(
    ("code", "locked"),
    [
        ("expired", True),
        ("clock_tampered", True),
        ("machine_mismatch", True),
        ("stale_issue_date", False),
        ("domain_mismatch", False),
        ("malformed", False),
    ],
)
def test_only_what_ends_a_license_locks_the_product(code: str, locked: bool) -> None:  # noqa: FBT001 - a row of the table above
    """A refused upload or a foreign host name never pauses a site; an expiry does."""
    sees = remedies.FOR[CheckCode(code)].sees
    assert ("License Expired screen, the API answers 503" in sees) is locked
