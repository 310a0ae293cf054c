"""Create a home with the installed version.

`PYTHONPATH=tests python -m contract.make_home FOLDER`. Each home in `homes/` was created by the
version in its name (`tables-1`: the last version with tables of version 1). `tables-3` to
`tables-6` are that of a8d37d9 after migrations. They are never created again; a later version only
adds its own.
"""

import sys
from pathlib import Path

from contract.bench import Bench, fixed, step
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)
from support.cli import PASSPHRASE

STEPS = (
    step("init --issuer Polygent~Ltd --operator Ada --output {folder}/out --upload-window 7d"),
    step("key generate main --store file:{folder}/main.key --backup {folder}/main.backup"),
    step("customer add Initech~KG --contact bill@initech.example --time-zone Europe/Berlin"),
    step(
        "sign --machine-info {folder}/acme.json --customer Acme~GmbH --plan standard-annual --yes"
    ),
    step(
        "sign --customer Globex --tier enterprise --term 1y --users 250 --session-hosts 50"
        " --deploy-hosts 50 --allowed-domain *.globex.internal --feature workflows --yes"
    ),
    step("sign --machine-info {folder}/initech.json --customer initech --plan trial --yes"),
    step("license sent 00000002"),
    step("reissue acme-gmbh --yes", days=1),
    step("license retire 00000004 --yes --reason trial~ended", days=1),
    step("customer add Hooli~Ltd"),
    step("customer add Hoolix --accept similar-customer --reason two~firms"),
    step("customer merge hoolix hooli-ltd --yes --reason one~firm"),
    step("customer add Umbrella"),
    step("customer archive umbrella --yes --reason contract~ended"),
    step("journal verify --note {folder}/heads"),
    step("registry backup {folder}/registry.backup"),
)


def main(folder: Path) -> None:
    """Run the steps in an empty folder."""
    (folder / "out").mkdir(parents=True)
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n", encoding="ascii")
    secret.chmod(0o600)
    bench = Bench(folder)
    bench.machine_info("acme.json")
    bench.machine_info(
        "initech.json", fingerprint="sha256:" + "a81f6602" * 8, hostname="in-1", customer=None
    )
    with fixed():
        for each in STEPS:
            outcome = bench.run(each)
            if outcome.code:
                sys.exit(f"{' '.join(each.argv)}: exit {outcome.code}\n{outcome.err}")
            if each.argv[0] == "key":
                _hasten(folder / "main.key")
    settings = folder / "home" / "settings.toml"
    text = settings.read_text(encoding="utf-8").replace(str(folder), "{folder}")
    settings.write_text(text, encoding="utf-8")


def _hasten(path: Path) -> None:
    """Encrypt the key again with one round, since each test opens it."""
    key = load_ssh_private_key(path.read_bytes(), PASSPHRASE.encode())
    builder = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, builder.build(PASSPHRASE.encode()))
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
