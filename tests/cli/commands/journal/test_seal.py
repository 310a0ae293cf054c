"""`polygent-issue journal seal`, and the seals that other commands make."""

import json
from typing import Any

import jwt
import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey
from jwcrypto import jwk, jws
from jwt.api_jwk import PyJWK
from support.cli import Desk
from support.registries import tampering

from polygent_issuer.issuing import signing
from polygent_issuer.verifier import KeySet, LicenseError, Verifier

TYPE = "polygent-journal-seal+jwt"
ENTERPRISE = ("--tier", "enterprise", "--term", "1y", "--users", "5", "--session-hosts", "1")


def sign(desk: Desk, customer: str, *options: str) -> Any:
    """Sign an enterprise license."""
    argv = ("sign", "--customer", customer, *ENTERPRISE, "--deploy-hosts", "1", "--yes", *options)
    return desk.ok(*argv)


def verified(desk: Desk, code: int = 0) -> dict[str, Any]:
    """Return what `journal verify` reports."""
    outcome = desk.run("journal", "verify", "--json")
    assert outcome.code == code
    return outcome.json


def change(desk: Desk, sql: str) -> None:
    """Edit the registry from outside."""
    with tampering(desk.registry) as raw:
        raw.execute(sql)


def seal_of(desk: Desk) -> str:
    """Return the token of the only seal."""
    (each,) = verified(desk)["seals"]
    token: str = each["token"]
    return token


def test_a_license_seals_the_journal(desk: Desk) -> None:
    """A command that signs with a key file leaves no row without a seal, and reports nothing."""
    assert verified(desk)["seals"] == []
    assert sign(desk, "Acme").err == ""
    result = verified(desk)
    (each,) = result["seals"]
    assert result["unsealed"] == 0
    assert (each["size"], each["head"], each["weak"]) == (result["size"], result["head"], False)
    desk.ok("customer", "add", "Globex")
    assert verified(desk)["unsealed"] == 1
    text = desk.ok("journal", "verify").text
    assert "  sealed      rows 1 to 3 on 2026-11-30T09:30:00Z by main (" in text
    assert "  not sealed  1 row since 2026-11-30T09:30:00Z" in text
    desk.ok("renew", "acme", "--accept", "not-due", "--reason", "asked", "--yes")
    assert verified(desk)["unsealed"] == 0


def test_a_batch_makes_one_seal(desk: Desk) -> None:
    """A batch seals once, after its last item; a batch without a license and a preview do not."""
    sign(desk, "Acme")
    sign(desk, "Globex")
    before = seal_of(desk)
    batch = ("reissue", "acme", "globex", "--users", "6", "--json")
    desk.ok(*batch, "--dry-run")
    assert seal_of(desk) == before
    desk.ok(*batch)
    after = seal_of(desk)
    assert verified(desk)["unsealed"] == 0
    assert after != before
    desk.ok("customer", "add", "Initech")
    desk.run("reissue", "initech", "hooli")
    assert seal_of(desk) == after


def test_the_command_seals_changes_since_the_last_license(desk: Desk) -> None:
    """It signs with the active key; the second time there is nothing to sign."""
    desk.ok("customer", "add", "Acme")
    outcome = desk.ok("journal", "seal", "--json").json
    result = verified(desk)
    assert outcome["sealed"]
    assert outcome["seal"]["head"] == result["head"]
    assert outcome["seal"]["key"] == "main"
    assert result["unsealed"] == 0
    again = desk.ok("journal", "seal")
    assert again.text == "the whole journal is sealed already; nothing was signed\n"
    assert desk.ok("journal", "seal", "--quiet").out == b""


def test_a_journal_with_problems_is_not_sealed(desk: Desk) -> None:
    """The command checks everything first, also rows that no seal covers."""
    desk.ok("customer", "add", "Acme")
    change(desk, "UPDATE customers SET crm = '1'")
    outcome = desk.run("journal", "seal")
    assert outcome.code == 7
    assert "customers/1 was changed outside the journal" in outcome.err
    assert verified(desk, 7)["seals"] == []


def test_a_locked_key_seals_nothing(desk: Desk) -> None:
    """Without its passphrase the command is exit 6."""
    desk.ok("customer", "add", "Acme")
    desk.passphrase_file.write_text("wrong\n")
    assert desk.run("journal", "seal").code == 6
    assert verified(desk)["seals"] == []


def test_a_seal_that_fails_is_a_warning(desk: Desk) -> None:
    """The license is issued and acknowledged; the warning comes after it, also with --json."""
    sign(desk, "Acme")
    change(desk, "UPDATE seals SET token = 'x'")
    outcome = sign(desk, "Globex", "--json")
    assert outcome.json["licenses"]
    assert outcome.err.startswith("warning: the journal was not sealed: ")
    assert "the seal of the key main is not a token of the type" in outcome.err
    problem = verified(desk, 7)["seals"][0]["problem"]
    assert problem == f"the seal of the key main is not a token of the type {TYPE}"
    doctor = desk.run("doctor", "--quick", "--json")
    (row,) = (row for row in doctor.json["rows"] if row["name"] == "journal-seal")
    assert (doctor.code, row["state"], row["message"]) == (7, "fail", problem)


@pytest.mark.parametrize("how", ["sign", "sign --quiet", "journal seal"])
def test_a_removed_seal_is_noticed_at_the_next_one(desk: Desk, how: str) -> None:
    """The command that makes a seal anew warns, once, also if it is quiet."""
    sign(desk, "Acme")
    change(desk, "DELETE FROM seals")
    desk.now = desk.now.replace(day=29, month=12)
    command, *options = how.split(" ")
    made = sign(desk, "Globex", *options) if command == "sign" else desk.ok(*how.split(" "))
    assert "signed licenses before, but the journal had no seal of it" in made.err
    assert sign(desk, "Initech").err == ""


def test_an_interrupted_seal_leaves_the_command_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the output changes neither that nor the exit code."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signing, "seal_journal", interrupted)
    outcome = sign(desk, "Acme", "--json")
    assert (outcome.code, len(outcome.json["licenses"])) == (0, 1)
    assert outcome.err.startswith("warning: the journal was not sealed: interrupted")


def test_a_rewritten_journal_is_exit_7(desk: Desk) -> None:
    """A forger who cuts off the last rows consistently is found without a saved head."""
    sign(desk, "Acme")
    desk.ok("customer", "add", "Globex")
    desk.ok("journal", "seal")
    with tampering(desk.registry) as raw:
        raw.execute("DELETE FROM customer_names WHERE customer_id = 2")
        raw.execute("DELETE FROM customers WHERE id = 2")
        raw.execute("DELETE FROM row_journal WHERE name = 'customers/2'")
        raw.execute("DELETE FROM journal WHERE seq = 4")
    outcome = desk.run("journal", "verify")
    assert outcome.code == 7
    assert "the journal ends at row 3 and lacks row 4, which the key main sealed" in outcome.text


def test_a_compromised_key_has_a_weak_seal(desk: Desk) -> None:
    """Its seal is reported as weak, and its rows as not sealed."""
    sign(desk, "Acme")
    desk.ok("key", "retire", "main", "--compromised", "--reason", "leaked", "--yes")
    result = verified(desk)
    assert result["unsealed"] == result["size"]
    assert [each["weak"] for each in result["seals"]] == [True]
    text = desk.ok("journal", "verify").text
    assert "the key main is marked as compromised" in text
    doctor = desk.run("doctor", "--json").json["rows"]
    (row,) = (row for row in doctor if row["name"] == "journal-seal")
    assert row["state"] == "warn"
    assert "except by a key that is marked as compromised" in row["message"]


@pytest.mark.sqlite("restores the file")
def test_a_backup_has_the_seals(desk: Desk) -> None:
    """A restored registry has the seal of the backup, and the row of the restoring has none."""
    sign(desk, "Acme")
    token = seal_of(desk)
    backup = str(desk.folder / "registry.backup")
    desk.ok("registry", "backup", backup)
    sign(desk, "Globex")
    accepted = ("--accept", "registry-rollback", "--reason", "test", "--yes")
    desk.ok("registry", "restore", backup, *accepted)
    assert seal_of(desk) == token
    assert verified(desk)["unsealed"] == 1
    change(desk, "UPDATE seals SET token = 'x'")
    desk.ok("registry", "backup", backup + "2")
    assert desk.run("registry", "restore", backup + "2", *accepted).code == 7


def test_a_rebuilt_registry_has_no_seal(desk: Desk) -> None:
    """An import into a new home reports that the old journal and its seals are gone."""
    sign(desk, "Acme")
    public = str(desk.folder / "main.pem")
    desk.ok("key", "export-public", "main", "--output", public)
    new = ("--home", str(desk.folder / "new"))
    out = desk.ok("registry", "import", str(desk.output), "--public-key", public, "--yes", *new)
    assert "earlier journal rows and their seals" in out.text
    assert desk.ok("journal", "verify", "--json", *new).json["seals"] == []


def test_the_verifier_of_licenses_refuses_a_seal(desk: Desk) -> None:
    """A seal is signed with a trusted key, but its type is not that of a license."""
    sign(desk, "Acme")
    pem = desk.folder / "main.pem"
    desk.ok("key", "export-public", "main", "--output", str(pem))
    with pytest.raises(LicenseError, match="typ is not polygent-license") as refused:
        Verifier(KeySet.from_pem(pem.read_bytes())).verify(seal_of(desk).encode(), now=desk.now)
    assert refused.value.code == "malformed"


def test_three_libraries_verify_a_seal(desk: Desk) -> None:
    """PyJWT, joserfc and jwcrypto read the same header and payload, and refuse another payload."""
    sign(desk, "Acme")
    pem = desk.folder / "main.pem"
    desk.ok("key", "export-public", "main", "--output", str(pem))
    result, token = verified(desk), seal_of(desk)
    public = jwk.JWK.from_pem(pem.read_bytes())
    header = {"alg": "ES256", "kid": result["seals"][0]["kid"], "typ": TYPE}

    decoded = jwt.api_jws.PyJWS().decode_complete(
        token, PyJWK(public.export_public(as_dict=True)), algorithms=["ES256"]
    )
    assert decoded["header"] == header
    claims = json.loads(decoded["payload"])
    assert f"{claims['seq']}:{claims['head']}" == result["head"]
    assert claims["iat"] == int(desk.now.timestamp())

    read = joserfc_jws.deserialize_compact(token, ECKey.import_key(pem.read_bytes()))
    assert (read.protected, json.loads(read.payload)) == (header, claims)

    other = jws.JWS()
    other.deserialize(token, public)
    assert (json.loads(other.objects["protected"]), json.loads(other.payload)) == (header, claims)
    head, _, signature = token.split(".")
    forged = f"{head}.{jwt.utils.base64url_encode(b'{}').decode()}.{signature}"
    with pytest.raises(jws.InvalidJWSSignature):
        jws.JWS().deserialize(forged, public)
