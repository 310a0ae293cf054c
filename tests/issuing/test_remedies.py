"""Advice: each failed check has what the customer sees and the command that fixes it."""

import re
import shlex

import pytest

from polygent_issuer.enforcement import State, refusals
from polygent_issuer.issuing import remedies
from polygent_issuer.verifier.errors import CheckCode

# The codes of FORMAT §5, each with the command that fixes it.
COMMANDS = {
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


def test_every_check_has_advice() -> None:
    """Each code of FORMAT §5 has advice, and no other code has."""
    assert set(remedies.FOR) == set(CheckCode)
    assert {str(code) for code in remedies.FOR} == set(COMMANDS)


@pytest.mark.parametrize("code", CheckCode)
def test_the_command_names_the_customer_and_the_license(code: CheckCode) -> None:
    """With a customer and a license, only values that the operator must choose are placeholders."""
    assert remedies.fix(code, customer=("acme",), license_id="1f3a") == COMMANDS[code]


@pytest.mark.parametrize("code", CheckCode)
def test_the_command_without_a_name_has_placeholders(code: CheckCode) -> None:
    """A file that is not authentic names no customer, so the command has a placeholder."""
    command = remedies.fix(code)
    assert "{" not in command
    assert command == COMMANDS[code].replace("acme", "CUSTOMER").replace("1f3a", "LICENSE")


def test_a_name_is_quoted_for_the_shell() -> None:
    """A copied command runs nothing else."""
    command = remedies.fix(CheckCode.EXPIRED, customer=("x; rm -rf ~",))
    assert shlex.split(command) == ["polygent-issue", "renew", "x; rm -rf ~"]


@pytest.mark.parametrize("code", CheckCode)
def test_advice_is_one_line(code: CheckCode) -> None:
    """Advice begins in lower case or with a name of the product, and has no full stop."""
    advice = remedies.FOR[code]
    for text in (advice.sees, advice.do):
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
        ("domain_mismatch", "exactly one level"),
        ("clock_tampered", "issued now ends it"),
    ],
)
def test_the_advice_fits_the_cause(code: str, word: str) -> None:
    """The advice of each check uses the words of the guide."""
    assert word in remedies.FOR[CheckCode(code)].do


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("unknown_key", [refusals.OF_STATE[State.NOT_AUTHENTIC].message]),
        ("bad_signature", [refusals.OF_STATE[State.NOT_AUTHENTIC].message]),
        ("invalid_claims", [refusals.OF_STATE[State.NOT_AUTHENTIC].message]),
        ("expired", [refusals.OF_STATE[State.EXPIRED].message]),
        ("not_yet_valid", [refusals.OF_STATE[State.NOT_YET_VALID].message]),
        (
            "machine_mismatch",
            [refusals.OF_STATE[State.MACHINE_CHANGED].message, "Machine identity changed"],
        ),
        ("domain_mismatch", [refusals.DOMAIN_MISMATCH.message, "License domain mismatch"]),
        ("clock_tampered", [refusals.OF_STATE[State.CLOCK_TAMPERED].message]),
    ],
)
def test_the_texts_are_those_that_the_customer_sees(code: str, texts: list[str]) -> None:
    """A mail quotes the API or a page; `verify` has these texts word by word."""
    for text in texts:
        assert f'"{text}"' in remedies.FOR[CheckCode(code)].sees


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
def test_only_an_invalid_license_locks_the_product(code: str, locked: bool) -> None:  # noqa: FBT001 - a row of the table above
    """A refused upload or a wrong host name does not lock a site; an expiry does."""
    sees = remedies.FOR[CheckCode(code)].sees
    assert ("License Expired screen, the API answers 503" in sees) is locked
