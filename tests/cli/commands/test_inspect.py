"""`polygent-issue inspect`: the content of a file, and which parts were checked."""

from pathlib import Path

from support.cli import Desk

EXAMPLE = str(Path(__file__).parents[3] / "keys.example" / "example.lic")
KEY = str(Path(__file__).parents[3] / "keys.example" / "public.pem")


def test_without_a_key_the_claims_are_unverified(empty_desk: Desk) -> None:
    """The claims are shown, with a clear warning."""
    outcome = empty_desk.ok("inspect", EXAMPLE)
    assert "NOT CHECKED: the signature" in outcome.text
    assert "anyone could have written this file" in outcome.text
    assert "last full day 2099-12-31" in outcome.text
    as_json = empty_desk.ok("inspect", EXAMPLE, "--json").json
    assert (as_json["authentic"], as_json["signature_checked"]) == (False, False)


def test_with_its_key_the_signature_is_checked(empty_desk: Desk) -> None:
    """The output names the checks that were made and those that were not."""
    outcome = empty_desk.ok("inspect", EXAMPLE, "--public-key", KEY)
    assert "checked: form, signature" in outcome.text
    assert "not checked: expiry" in outcome.text
    as_json = empty_desk.ok("inspect", EXAMPLE, "--public-key", KEY, "--json").json
    assert (as_json["authentic"], as_json["example_key"]) == (True, True)
    assert "signed with the EXAMPLE key" in outcome.text


def test_a_claimed_example_key_is_not_named_as_signer(empty_desk: Desk) -> None:
    """Only a checked signature shows who signed."""
    assert "EXAMPLE" not in empty_desk.ok("inspect", EXAMPLE).text
    assert empty_desk.ok("inspect", EXAMPLE, "--json").json["example_key"] is False


def test_a_forged_file_is_exit_10(empty_desk: Desk) -> None:
    """The claims of a forged file are shown for the support case, with its bad signature."""
    head, payload, signature = Path(EXAMPLE).read_text().strip().split(".")
    forged = empty_desk.folder / "forged.lic"
    forged.write_text(f"{head}.{payload}.{signature[1:]}{signature[0]}"[: len(EXAMPLE) + 9999])
    outcome = empty_desk.run("inspect", str(forged), "--public-key", KEY)
    assert outcome.code == 10
    assert "NOT AUTHENTIC: " in outcome.text


def test_a_file_other_than_a_license(empty_desk: Desk) -> None:
    """Another file is one error line and exit 10."""
    other = empty_desk.folder / "x.lic"
    other.write_bytes(b"\x00\x01" * 40)
    outcome = empty_desk.run("inspect", str(other))
    assert outcome.code == 10
    assert "NOT AUTHENTIC: malformed" in outcome.text
