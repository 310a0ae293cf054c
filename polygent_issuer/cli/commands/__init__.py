"""The table of commands: the one place where they are registered."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry of the command table: a command (`target`) or a group (`entries`).

    Attributes:
        target: `module:function` in `polygent_issuer.cli.commands`, imported when it is called.
        panel: the heading under which a terminal lists it.
    """

    name: str
    help: str
    target: str = ""
    entries: tuple["Entry", ...] = ()
    panel: str | None = None

    @property
    def role(self) -> str:
        """The role that the command needs in a team's registry; empty if it needs none."""
        module = self.target.partition(":")[0]
        return next((role for role, modules in ROLES.items() if module in modules), "")


# The roles are the values of `registry.roles.Role`, whose import would delay each start.
ROLES: Final = {
    "auditor": (
        *("customer.show", "doctor", "expiring", "inspect", "journal.show", "journal.verify"),
        *("key.show", "license.show", "machine_info.check"),
        *("registry.backup", "registry.export", "registry.roles", "report", "verify"),
    ),
    "issuer": (
        *("apply", "customer.edit", "customer.import_", "journal.seal"),
        *("license.edit", "license.export", "registry.import_", "renew", "sign"),
    ),
    "key-admin": ("key.backup", "key.generate", "key.retire"),
    "manager": ("customer.merge",),
    "owner": ("registry.move", "registry.restore", "registry.upgrade"),
}
"""The modules of the commands that need each role in a team's registry."""

_START, _ISSUE, _CHECK, _MANAGE = "Get started", "Issue", "Check", "Manage"


def _command(name: str, target: str, text: str, panel: str | None = None) -> Entry:
    return Entry(name=name, help=text, target=target, panel=panel)


def _group(name: str, panel: str, text: str, *entries: Entry) -> Entry:
    return Entry(name=name, help=text, entries=entries, panel=panel)


_CUSTOMER = _group(
    "customer",
    _MANAGE,
    "Manage customers.",
    _command("list", "customer.show:list_all", "List customers."),
    _command("show", "customer.show:show", "Show a customer's machines, licenses and history."),
    _command("add", "customer.edit:add", "Add a customer."),
    _command("edit", "customer.edit:edit", "Change a customer's name, contacts or other details."),
    _command("merge", "customer.merge:merge", "Merge a customer into another."),
    _command("hold", "customer.edit:hold", "Put a customer on hold or release it."),
    _command("archive", "customer.merge:archive", "Archive or unarchive a customer."),
    _command("import", "customer.import_:import_file", "Add and change customers from a CSV file."),
    _command("export", "customer.show:export", "Export customers as CSV for customer import."),
)
_LICENSE = _group(
    "license",
    _MANAGE,
    "Manage issued licenses.",
    _command("list", "license.show:list_all", "List licenses."),
    _command("show", "license.show:show", "Show a license and its history."),
    _command("edit", "license.edit:edit", "Change the order id or the note of a license."),
    _command("export", "license.export:export", "Write the files of licenses again."),
    _command("sent", "license.export:sent", "Mark licenses as sent to their customers."),
    _command("retire", "license.edit:retire", "Retire a license so that it is not renewed."),
)
_MACHINE_INFO = _group(
    "machine-info",
    _CHECK,
    "Check or create a machine-info.json.",
    _command("check", "machine_info.check:check", "Check a machine-info.json."),
    _command("create", "machine_info.create:create", "Create the machine-info.json of a machine."),
)
_KEY = _group(
    "key",
    _MANAGE,
    "Manage signing keys.",
    _command("generate", "key.generate:generate", "Generate a signing key."),
    _command("list", "key.show:list_all", "List signing keys."),
    _command("show", "key.show:show", "Show a signing key and whether it can sign."),
    _command("use", "key.retire:use", "Select the key that signs new licenses."),
    _command("export-public", "key.show:export_public", "Export public keys for servers."),
    _command("import", "key.generate:import_private", "Import a private key."),
    _command("backup", "key.backup:backup", "Write an encrypted backup of a private key."),
    _command("passphrase", "key.backup:passphrase", "Change the passphrase of a key file."),
    _command("retire", "key.retire:retire_key", "Retire a signing key."),
)
_JOURNAL = _group(
    "journal",
    _MANAGE,
    "Show, verify or seal the journal of all changes.",
    _command("show", "journal.show:show", "Show the journal."),
    _command("verify", "journal.verify:verify", "Check the journal and registry for tampering."),
    _command("seal", "journal.seal:seal", "Sign the journal's head with the active key."),
)
_REGISTRY = _group(
    "registry",
    _MANAGE,
    "Back up, restore, move, export or rebuild the registry.",
    _command("backup", "registry.backup:backup", "Write a backup of the registry."),
    _command("restore", "registry.restore:restore", "Restore the registry from a backup."),
    _command("move", "registry.move:move", "Move the registry to PostgreSQL, or back."),
    _command("export", "registry.export:export", "Export current licenses as TOML for apply."),
    _command("import", "registry.import_:import_files", "Rebuild the registry from license files."),
    _command("roles", "registry.roles:roles", "Show the roles in a team's registry, or their SQL."),
    _command("upgrade", "registry.upgrade:upgrade", "Upgrade the tables of a team's registry."),
)
_CONFIG = _group(
    "config",
    _MANAGE,
    "Show or change the settings.",
    _command("show", "config.show:show", "Show the settings and the source of each."),
    _command("set", "config.set:set_value", "Change a setting."),
    _command("path", "config.show:path", "Print the path of the settings file."),
    _command("mail-template", "config.show:mail_template", "Print the template of mail drafts."),
)

COMMANDS = Entry(
    name="polygent-issue",
    help="Issue, renew and verify Polygent licenses offline.",
    entries=(
        _command("init", "init:init", "Create a home folder with settings and registry.", _START),
        _command("sign", "sign:sign", "Sign a customer's first license.", _ISSUE),
        _command("renew", "renew:renew", "Renew licenses of one or more customers.", _ISSUE),
        _command(
            "reissue", "renew:reissue", "Reissue licenses with the same expiry dates.", _ISSUE
        ),
        _command("apply", "apply:apply", "Bring licenses in line with a TOML or CSV file.", _ISSUE),
        _command("verify", "verify:verify", "Check license files as a server would.", _CHECK),
        _command("inspect", "inspect:inspect", "Show the content of a license file.", _CHECK),
        _command("sandbox", "sandbox:sandbox", "Try a license in a simulated server.", _CHECK),
        _command("expiring", "expiring:expiring", "List licenses due for renewal.", _CHECK),
        _command("report", "report:report", "Report what runs now and what changed.", _CHECK),
        _CUSTOMER,
        _LICENSE,
        _MACHINE_INFO,
        _KEY,
        _JOURNAL,
        _REGISTRY,
        _CONFIG,
        _command("doctor", "doctor:doctor", "Check the installation and suggest fixes.", _CHECK),
        _command("vectors", "vectors:vectors", "Write test vectors for other languages.", _CHECK),
        _command("completion", "completion:completion", "Print a shell completion script.", _START),
        _command("help", "help:help_", "Show a guide topic or the help of a command.", _START),
        _command("demo", "demo:demo", "Run a guided demo in a temporary home.", _START),
    ),
)
