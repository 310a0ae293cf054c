"""The steps in each home, in this order: every command, and the most common errors."""

from contract.bench import step

STEPS = (
    # Commands that only read.
    step("--version"),
    step("config path --json"),
    step("config show --json"),
    step("config show issuer --json"),
    step("config show nonsense --json"),
    step("config mail-template --json"),
    step("customer list --json"),
    step("customer list --csv"),
    step("customer show acme-gmbh --json"),
    step("customer show nobody --json"),
    step("license list --json"),
    step("license list --unsent --json"),
    step("license list --csv"),
    step("license show 00000005 --json"),
    step("license show 99999999 --json"),
    step("key list --json"),
    step("key show main --json"),
    step("key export-public main --json"),
    step("key export-public --all --format jwks"),
    step("journal show --json"),
    step("journal show --csv"),
    step("journal verify --json"),
    step("journal verify --against {folder}/heads --json"),
    step("expiring --json"),
    step("expiring --within 1y --csv"),
    step("expiring --within 1y --ics {folder}/licenses.ics --json"),
    step("doctor --json"),
    step("doctor --quick --json"),
    step("completion bash"),
    step("demo --json"),
    step("machine-info check {folder}/fresh.json --json"),
    step("machine-info check {folder}/missing.json --json"),
    step("machine-info create --json"),
    step("registry export --json"),
    step("registry export --output {folder}/licenses.toml --json"),
    # Verification.
    step("license export 00000005 --output {folder}/acme.lic --json"),
    step("license export 00000005 --output {folder}/acme.lic --json"),
    step("license export 00000003 --output {folder}/globex.lic --eml {folder}/drafts --json"),
    step("verify {folder}/acme.lic --machine-info {folder}/fresh.json --json"),
    step("verify {folder}/acme.lic --fingerprint sha256:0123 --json"),
    step("verify {folder}/globex.lic --host api.globex.internal --install --json"),
    step("verify {folder}/acme.lic {folder}/globex.lic --json"),
    step("verify {folder}/fresh.json --json"),
    step("verify --customer acme-gmbh --json"),
    step("inspect {folder}/acme.lic --json"),
    step("inspect {folder}/fresh.json --json"),
    # Changes of customers and settings.
    step("config set mail_from Licenses~<licenses@polygent.example> --json"),
    step("config set nonsense 1 --json"),
    step("config mail-template --write --json"),
    step("customer add Wayne~SA --contact lucius@wayne.example --json"),
    step("customer add Wayne~S --json"),
    step("customer edit acme-gmbh --contact ada@acme.example --time-zone Europe/Berlin --json"),
    step("customer edit acme-gmbh --contact ada@acme.example --json"),
    step("customer archive wayne-sa --yes --reason left --json"),
    step("customer archive wayne-sa --undo --yes --reason back --json"),
    step("customer merge initech initech-kg --yes --reason one~firm --json"),
    # Issuing.
    step("renew acme-gmbh --term 0d --json"),
    step("renew acme-gmbh --term 1y --dry-run --json"),
    step("renew acme-gmbh --term 1y --yes --users 40 --eml {folder}/drafts --json"),
    step("renew acme-gmbh --yes --json"),
    step("renew --due-within 30d --dry-run --json"),
    step("renew --due-within 30d --yes --json"),
    step("reissue globex --yes --remove-feature workflows --json"),
    step("reissue globex --yes --allowed-domain *.globex.example --json"),
    step("reissue globex --yes --allowed-domain *.x.example --accept entitlement-loss --json"),
    step("sign --machine-info {folder}/fresh.json --json"),
    step("sign --machine-info {folder}/fresh.json --customer acme-gmbh --plan trial --yes --json"),
    step("sign --machine-info {folder}/new.json --customer wayne-sa --plan trial --yes --json"),
    step(
        "sign --machine-info {folder}/new.json --customer wayne-sa --plan trial --yes --json"
        " --accept claimed-customer --reason checked~by~phone"
    ),
    step("sign --machine-info {folder}/old.json --customer wayne-sa --plan trial --yes --json"),
    step("sign --customer Cyberdyne --tier enterprise --term 1y --users 5 --yes --json"),
    step("license list --customer wayne-sa --json"),
    step("license sent 00000003 --json"),
    step("license sent 00000003 --undo --json"),
    step("license retire 00000003 --yes --json"),
    step("license retire 00000003 --yes --reason left --json"),
    step("license retire 00004500 --yes --reason left --json"),
    # Batches.
    step("renew --due-within 30d --yes --json", days=20),
    step(
        "renew cyberdyne acme-gmbh --yes --bundle {folder}/all.zip"
        " --accept not-due --reason asked --json"
    ),
    step("renew wayne-sa globex nobody --yes --bundle {folder}/rest.zip --json"),
    step("apply {folder}/rows.csv --dry-run --json"),
    step("apply {folder}/rows.csv --yes --report {folder}/report.json --json"),
    step("apply {folder}/rows.csv --yes --json"),
    step("apply {folder}/broken.toml --yes --json"),
    # Keys.
    step("key backup main {folder}/second.backup --json"),
    step("key generate second --store file:{folder}/second.key --no-backup --json"),
    step("key import {folder}/main.backup --json"),
    step("key use second --json"),
    step("key use second --accept key-rollout --reason changed --json"),
    step("reissue acme-gmbh --yes --json"),
    step("key retire main --yes --reason changed --json"),
    step("key retire second --compromised --yes --reason leaked --json"),
    # The registry.
    step("journal verify --note {folder}/heads --json"),
    step("registry backup {folder}/again.backup --json"),
    step("registry restore {folder}/registry.backup --yes --json"),
    step(
        "registry restore {folder}/registry.backup --yes --accept registry-rollback"
        " --reason trial --json"
    ),
    step("registry import {folder}/acme.lic {folder}/globex.lic --yes --reason trial --json"),
    step("journal verify --json"),
    step("init --issuer Polygent~Ltd --json"),
    # Wrong usage.
    step("renew --json"),
    step("sign --no-such-option --json"),
    step("nonsense --json"),
    # Later steps, so that the IDs above stay.
    step("help --json"),
    step("help backup --json"),
    step("help nonsense --json"),
    # Settings in a backup.
    step("config set issuer Another --json"),
    step("registry restore {folder}/again.backup --settings only --json"),
    step("reissue --all --users 50 --dry-run --json"),
    step("reissue --all --users 50 --report {folder}/none/report.csv --eml {folder}/none --json"),
    step("license export --all --bundle {folder}/current.zip --eml {folder}/out --json"),
    step("license export --customer globex --output {folder}/out --json"),
    step("license export --json"),
    step("license sent --bundle {folder}/current.zip --json"),
    step("license sent --all --json"),
    step("license sent --all --undo --json"),
    # Backups and passphrases of keys.
    step(
        "key generate third --store file:{folder}/third.key --backup {folder}/third.backup --json"
    ),
    step("key show third --json"),
    step("key backup third --check --json"),
    step("key passphrase third --json"),
    step("key passphrase third --new-passphrase-file {folder}/new-passphrase --json"),
    step("customer export --output {folder}/customers.csv --json"),
    step("customer export --json"),
    step("customer import {folder}/customers.csv --json"),
    step("customer import {folder}/rows.csv --json"),
    step(
        "customer import {folder}/rows.csv --map customer=name --map tier= --map plan="
        " --map expires= --map users= --accept similar-customer --reason trial --yes --json"
    ),
    step("customer hold globex --json"),
    step("customer hold globex --reason unpaid --until 2027-01-01 --json"),
    step("customer hold globex --reason unpaid --until 2028-12-31 --json"),
    step("customer list --json"),
    step("renew globex --json"),
    step("renew globex acme-gmbh --json"),
    step("customer hold globex --release --json"),
    step("license edit 00000005 --json"),
    step("license edit 00000005 --order-id PO-1 --note first~order --json"),
    step("license edit 00000005 --no-order-id --json"),
    step("license list --note first --json"),
    step("report --json"),
    step("report --since 2020-01-01 --format csv"),
    step("expiring --exit-code --json"),
    step("expiring --prometheus {folder}/polygent.prom --json"),
    step("journal show --ndjson --after 3"),
    step("journal show --ndjson --after 9999"),
    step("vectors {folder}/vectors --json"),
    step("vectors {folder}/acme.lic --json"),
    # Seals of the journal.
    step("journal verify --json"),
    step("journal seal --json"),
    step("journal seal --json"),
    step("journal verify --json"),
    step("journal seal"),
    # The roles of a team's registry.
    step("registry roles --json"),
    step("registry upgrade --json"),
    step("registry move --to sqlite: --dry-run --json"),
    step("registry move --to postgresql:///polygent?host=/nowhere --yes --json"),
)

ROWS = (
    "customer,tier,plan,expires,users\n"
    "Tyrell,enterprise,standard-annual,,10\n"
    "Globex,enterprise,,2029-01-31,300\n"
    "Wayne SA,standard,,2029-02-30,1\n"
)
BROKEN = '[[license]]\ncustomer = "A\n'
