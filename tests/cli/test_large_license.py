"""A license file larger than servers read: exit 3 before anything is signed."""

import re

import pytest
from support.cli import Desk

from polygent_issuer.home.settings import settings_path
from polygent_issuer.verifier import jws

NAMES = [f"feature-{number:0>52}" for number in range(200)]
ENDS = ("--expires", "2026-12-10")


def features(*names: str) -> list[str]:
    """Return the options that grant exactly these features."""
    return [word for name in names for word in ("--feature", name)]


@pytest.fixture
def wide(desk: Desk) -> Desk:
    """Return a desk with 200 more features, and features of many lengths."""
    path = settings_path(desk.home)
    known = [*NAMES, *(NAMES[-1][:length] for length in range(9, 60))]
    path.write_text(f"features = {known}\n".replace("'", '"') + path.read_text())
    desk.machine_info("small.json", customer="Globex", fingerprint="sha256:" + "cd" * 32)
    return desk


def sign_largest(desk: Desk) -> list[str]:
    """Sign the largest license that a server reads, due in ten days; return its features."""
    argv = ("sign", "--machine-info", desk.machine_info(), *ENDS)
    granted = NAMES[:187]
    error = desk.run(*argv, *features(*granted, NAMES[-1]), "--dry-run").err
    match = re.search(r"would have ([\d,]+) bytes", error)
    assert match is not None, error
    over = int(match[1].replace(",", "")) - jws.MAX_FILE_BYTES
    granted = [*granted, NAMES[-1][: 60 - (over * 3 + 3) // 4]]
    desk.ok(*argv, *features(*granted))
    [file] = desk.output.glob("acme*.lic")
    assert jws.MAX_FILE_BYTES - 4 < file.stat().st_size <= jws.MAX_FILE_BYTES
    return granted


REFUSED = re.compile(
    r"error: the license file would have 1\d,\d{3} bytes, and servers read at most 16,384\n"
    r"hint: grant fewer features, or features with shorter names: these \d+ take "
    r"1\d,\d{3} bytes\n"
)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_sign_refuses_a_license_that_is_too_large(wide: Desk, more: tuple[str, ...]) -> None:
    """The error comes in a dry run, too, and before the key is needed; nothing is stored."""
    wide.passphrase_file.unlink()
    argv = ("sign", "--machine-info", wide.machine_info(), *features(*NAMES), *more)
    outcome = wide.run(*argv)
    assert (outcome.code, outcome.out) == (3, b"")
    assert REFUSED.fullmatch(outcome.err), outcome.err
    wide.run("license", "list")
    assert list(wide.output.iterdir()) == []
    assert wide.ok("customer", "list", "--json").json["customers"] == []
    assert wide.run(*argv, "--json").json["error"]["code"] == "invalid_terms"


@pytest.mark.parametrize(
    "argv", [("renew", "acme-gmbh"), ("reissue", "acme-gmbh"), ("renew", "acme-gmbh", "--dry-run")]
)
def test_a_renewal_of_the_largest_license_is_refused(wide: Desk, argv: tuple[str, ...]) -> None:
    """The new license also names the replaced one; with one feature fewer it fits."""
    granted = sign_largest(wide)
    outcome = wide.run(*argv)
    assert outcome.code == 3
    assert REFUSED.fullmatch(outcome.err), outcome.err
    wide.ok(*argv, "--remove-feature", granted[0])


def test_a_license_that_is_too_large_fails_one_item_of_a_batch(wide: Desk) -> None:
    """A batch renews the other licenses."""
    sign_largest(wide)
    wide.ok("sign", "--machine-info", str(wide.folder / "small.json"), *ENDS)
    for more in (("--dry-run",), ("--yes",)):
        outcome = wide.run("renew", "--due-within", "30d", *more)
        assert outcome.code == 20
        assert "the license file would have" in outcome.text
    states = wide.ok("license", "list", "--json").json["licenses"]
    current = {each["customer"] for each in states if each["expires_at"] > "2027"}
    assert current == {"globex"}


def test_a_license_that_is_too_large_fails_one_row_of_a_file(wide: Desk) -> None:
    """`apply` issues the other licenses."""
    rows = wide.folder / "rows.toml"
    listed = str(NAMES).replace("'", '"')
    rows.write_text(
        '[[license]]\ncustomer = "Initech"\nplan = "enterprise-annual"\nusers = 9\n'
        f'features = {listed}\n\n[[license]]\ncustomer = "Soylent"\n'
        'plan = "enterprise-annual"\nusers = 9\n'
    )
    for more in (("--dry-run",), ("--yes",)):
        outcome = wide.run("apply", str(rows), *more)
        assert outcome.code == 20, outcome
        assert "the license file would have" in outcome.text
    listed_now = wide.ok("license", "list", "--json").json["licenses"]
    assert [each["customer"] for each in listed_now] == ["soylent"]
