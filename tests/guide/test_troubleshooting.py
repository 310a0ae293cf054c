"""The topic *troubleshooting* has the texts that a customer sees, word by word."""

import re
from datetime import timedelta

import pytest
from support.lic_files import ISSUED, Issuer, license_id

from polygent_issuer.enforcement import Installation, InstallRefused, refusals, stored_state
from polygent_issuer.guide import markdown
from polygent_issuer.verifier import KeySet, Outcome, Verifier

SIGNER = Issuer()
SERVER = Verifier(KeySet.of(SIGNER.signer.public_key))
FILE = SIGNER.file(1)
UPLOADS = {
    "empty": (b"", 1),
    "large": (b"x" * 20_000, 1),
    "another document": (b"{}", 1),
    "short signature": (b"e30.e30.AAAA", 1),
    "header": (b"e30.e30." + b"A" * 86, 1),
    "changed": (FILE[:-10] + b"A" * 9 + b"\n", 1),
    "unknown key": (Issuer().file(1), 1),
    "another machine, too early": (FILE, -30),
    "another machine, too late": (FILE, 30),
    "another machine, expired": (FILE, 400),
}
REQUESTS = {
    **{str(state): refusal.message for state, refusal in refusals.OF_STATE.items()},
    **{each.code: each.message for each in (refusals.STORE_FAILED, refusals.DOMAIN_MISMATCH)},
    "hosts": refusals.HOST_LIMIT.message,
    "users": refusals.user_limit(25, 25).message,
    "the product's screen": "License Expired",
    "the product's screen of a machine": "Machine identity changed",
    "the product's screen of a host": "License domain mismatch",
}


def require_text(message: str) -> None:
    """Check that a quoted text of the topic is the message; `…` is any text in it."""
    quoted = re.findall(r'"([^"\n]+)"', markdown("troubleshooting"))
    patterns = (".+".join(map(re.escape, text.split("…"))) for text in quoted)
    assert any(re.fullmatch(pattern, message) for pattern in patterns), message


@pytest.mark.parametrize("message", REQUESTS.values(), ids=REQUESTS)
def test_the_texts_of_pages_and_api(message: str) -> None:
    """Each refusal of a request, and each screen that the product's page names, is an entry."""
    require_text(message)


def test_the_text_of_a_feature() -> None:
    """The refusal names the feature, so the entry has an ellipsis."""
    refusal = refusals.missing_feature(SERVER.authenticate(FILE), "planner")
    assert refusal is not None
    require_text(refusal.message)


@pytest.mark.parametrize(("data", "days"), UPLOADS.values(), ids=UPLOADS)
def test_the_texts_of_a_refused_upload(data: bytes, days: int) -> None:
    """The message of each check that fails at an installation is in an entry."""
    report = SERVER.report(
        data,
        now=ISSUED + timedelta(days=days),
        fingerprint="sha256:" + "cd" * 32,
        freshness_window=timedelta(days=7),
    )
    failed = [row.message for row in report.rows if row.outcome is Outcome.FAILED]
    assert failed
    for message in failed:
        require_text(message)


def test_the_text_of_a_superseded_upload() -> None:
    """A license that an installed one replaces is refused with this text."""
    installed = Installation(
        license_id=license_id(2),
        file=FILE,
        sub="acme",
        scope="any",
        iat=0,
        replaces=(license_id(1),),
        at=ISSUED,
        by="admin",
    )
    with pytest.raises(InstallRefused) as refused:
        stored_state.require_not_superseded(SERVER.authenticate(FILE), [installed])
    require_text(refused.value.message)
