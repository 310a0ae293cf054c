"""The table of commands: the one place where they are registered."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the command table: a command (`target`) or a group (`entries`).

    Attributes:
        target: `module:function` in `polygent_issuer.cli.commands`, imported when it is called.
        panel: the heading under which a terminal lists it.
    """

    name: str
    target: str
    help: str
    panel: str | None = None
    entries: tuple["Entry", ...] = ()


# The roles are the values of `registry.postgres.roles.Role`, whose import would delay each start.
ROLES: Final = {
    "auditor": (
        *("customer.show", "doctor", "expiring", "journal:show", "journal:verify"),
        *("key.show", "license.show", "machine_info:check"),
        *("registry.backup:backup", "registry.export", "registry.roles:roles", "report", "verify"),
    ),
    "issuer": (
        *("apply", "customer.edit", "customer.import_", "journal:seal"),
        *("license.edit", "license.export", "registry.import_", "sign"),
    ),
    "key-admin": ("key.backup", "key.generate", "key.retire"),
    "manager": ("customer.merge",),
    "owner": ("registry.move", "registry.backup:restore", "registry.roles:upgrade"),
}
"""The commands that need each role in a team's registry: all of a module, or one by its target."""

_START, _ISSUE, _CHECK, _MANAGE = "Get started", "Issue", "Check", "Manage"


_CUSTOMER = Entry(
    "customer",
    "",
    "Manage customers.",
    _MANAGE,
    (
        Entry("list", "customer.show:list_all", "List customers."),
        Entry("show", "customer.show:show", "Show a customer's machines, licenses and history."),
        Entry("add", "customer.edit:add", "Add a customer."),
        Entry("edit", "customer.edit:edit", "Change a customer's name, contacts or other details."),
        Entry("merge", "customer.merge:merge", "Merge a customer into another."),
        Entry("hold", "customer.edit:hold", "Put a customer on hold or release it."),
        Entry("archive", "customer.merge:archive", "Archive or unarchive a customer."),
        Entry(
            "import", "customer.import_:import_file", "Add and change customers from a CSV file."
        ),
        Entry("export", "customer.show:export", "Export customers as CSV for customer import."),
    ),
)
_LICENSE = Entry(
    "license",
    "",
    "Manage issued licenses.",
    _MANAGE,
    (
        Entry("list", "license.show:list_all", "List licenses."),
        Entry("show", "license.show:show", "Show a license and its history."),
        Entry("edit", "license.edit:edit", "Change the order id or the note of a license."),
        Entry("export", "license.export:export", "Write the files of licenses again."),
        Entry("sent", "license.edit:sent", "Mark licenses as sent to their customers."),
        Entry("retire", "license.edit:retire", "Retire a license so that it is not renewed."),
    ),
)
_MACHINE_INFO = Entry(
    "machine-info",
    "",
    "Check or create a machine-info.json.",
    _CHECK,
    (
        Entry("check", "machine_info:check", "Check a machine-info.json."),
        Entry("create", "machine_info:create", "Create the machine-info.json of a machine."),
    ),
)
_KEY = Entry(
    "key",
    "",
    "Manage signing keys.",
    _MANAGE,
    (
        Entry("generate", "key.generate:generate", "Generate a signing key."),
        Entry("list", "key.show:list_all", "List signing keys."),
        Entry("show", "key.show:show", "Show a signing key and whether it can sign."),
        Entry("use", "key.retire:use", "Select the key that signs new licenses."),
        Entry("export-public", "key.show:export_public", "Export public keys for servers."),
        Entry("import", "key.generate:import_private", "Import a private key."),
        Entry("backup", "key.backup:backup", "Write an encrypted backup of a private key."),
        Entry("passphrase", "key.backup:passphrase", "Change the passphrase of a key file."),
        Entry("retire", "key.retire:retire_key", "Retire a signing key."),
    ),
)
_JOURNAL = Entry(
    "journal",
    "",
    "Show, verify or seal the journal of all changes.",
    _MANAGE,
    (
        Entry("show", "journal:show", "Show the journal."),
        Entry("verify", "journal:verify", "Check the journal and registry for tampering."),
        Entry("seal", "journal:seal", "Sign the journal's head with the active key."),
    ),
)
_REGISTRY = Entry(
    "registry",
    "",
    "Back up, restore, move, export or rebuild the registry.",
    _MANAGE,
    (
        Entry("backup", "registry.backup:backup", "Write a backup of the registry."),
        Entry("restore", "registry.backup:restore", "Restore the registry from a backup."),
        Entry("move", "registry.move:move", "Move the registry to PostgreSQL, or back."),
        Entry("export", "registry.export:export", "Export current licenses as TOML for apply."),
        Entry(
            "import", "registry.import_:import_files", "Rebuild the registry from license files."
        ),
        Entry(
            "roles", "registry.roles:roles", "Show the roles in a team's registry, or their SQL."
        ),
        Entry("upgrade", "registry.roles:upgrade", "Upgrade the tables of a team's registry."),
    ),
)
_CONFIG = Entry(
    "config",
    "",
    "Show or change the settings.",
    _MANAGE,
    (
        Entry("show", "config:show", "Show the settings and the source of each."),
        Entry("set", "config:set_value", "Change a setting."),
        Entry("path", "config:path", "Print the path of the settings file."),
        Entry("mail-template", "config:mail_template", "Print the template of mail drafts."),
    ),
)

COMMANDS = Entry(
    "polygent-issue",
    "",
    "Issue, renew and verify Polygent licenses offline.",
    entries=(
        Entry("init", "init:init", "Create a home folder with settings and registry.", _START),
        Entry("sign", "sign:sign", "Sign a customer's first license.", _ISSUE),
        Entry("renew", "sign:renew", "Renew licenses of one or more customers.", _ISSUE),
        Entry("reissue", "sign:reissue", "Reissue licenses with the same expiry dates.", _ISSUE),
        Entry("apply", "apply:apply", "Bring licenses in line with a TOML or CSV file.", _ISSUE),
        Entry("verify", "verify:verify", "Check license files as a server would.", _CHECK),
        Entry("inspect", "verify:inspect", "Show the content of a license file.", _CHECK),
        Entry("sandbox", "sandbox:sandbox", "Try a license in a simulated server.", _CHECK),
        Entry("expiring", "expiring:expiring", "List licenses due for renewal.", _CHECK),
        Entry("report", "report:report", "Report what runs now and what changed.", _CHECK),
        _CUSTOMER,
        _LICENSE,
        _MACHINE_INFO,
        _KEY,
        _JOURNAL,
        _REGISTRY,
        _CONFIG,
        Entry("doctor", "doctor:doctor", "Check the installation and suggest fixes.", _CHECK),
        Entry("vectors", "vectors:vectors", "Write test vectors for other languages.", _CHECK),
        Entry("completion", "completion:completion", "Print a shell completion script.", _START),
        Entry("help", "help:help_", "Show a guide topic or the help of a command.", _START),
        Entry("demo", "demo:demo", "Run a guided demo in a temporary home.", _START),
    ),
)
