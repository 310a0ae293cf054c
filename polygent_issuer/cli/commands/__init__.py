"""The table of commands: the one place where they are registered."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the command table: a command (`target`) or a group (`entries`).

    Attributes:
        target: `module:function` below `polygent_issuer.cli.commands`, imported when it is called.
        panel: the heading under which a terminal lists it.
    """

    name: str
    help: str
    target: str = ""
    entries: tuple["Entry", ...] = ()
    panel: str | None = None


_BEGIN, _ISSUE, _CHECK, _KEEP = "Begin", "Issue", "Check", "Keep"


def _command(name: str, target: str, text: str, panel: str | None = None) -> Entry:
    return Entry(name=name, help=text, target=target, panel=panel)


def _group(name: str, panel: str, text: str, *entries: Entry) -> Entry:
    return Entry(name=name, help=text, entries=entries, panel=panel)


_CUSTOMER = _group(
    "customer",
    _KEEP,
    "The customers.",
    _command("list", "customer.list:list_all", "List the customers."),
    _command("show", "customer.show:show", "Show a customer: machines, licenses, history."),
    _command("add", "customer.add:add", "Add a customer."),
    _command("edit", "customer.edit:edit", "Change a customer's name, contacts, zone, reference."),
    _command("merge", "customer.merge:merge", "Merge a customer into another."),
    _command("archive", "customer.archive:archive", "Archive a customer, or take that back."),
)
_LICENSE = _group(
    "license",
    _KEEP,
    "Every license ever issued.",
    _command("list", "license.list:list_all", "List licenses."),
    _command("show", "license.show:show", "Show a license."),
    _command("export", "license.export:export", "Write a license's file again."),
    _command("sent", "license.sent:sent", "Note that files went to their customers."),
    _command("retire", "license.retire:retire", "Mark a license as no longer current."),
)
_MACHINE_INFO = _group(
    "machine-info",
    _CHECK,
    "A server's machine-info.json.",
    _command("check", "machine_info.check:check", "Judge a machine-info.json."),
    _command("create", "machine_info.create:create", "Make this machine's machine-info.json."),
)
_KEY = _group(
    "key",
    _KEEP,
    "The signing keys.",
    _command("generate", "key.generate:generate", "Make a signing key."),
    _command("list", "key.list:list_all", "List the keys."),
    _command("show", "key.show:show", "Show a key and whether it can sign."),
    _command("use", "key.use:use", "Sign with this key from now on."),
    _command(
        "export-public", "key.export_public:export_public", "Write the public half, for servers."
    ),
    _command("import", "key.import_:import_private", "Take in a private key."),
    _command("backup", "key.backup:backup", "Write an encrypted backup of a key."),
    _command("retire", "key.retire:retire_key", "Let a key sign no more."),
)
_JOURNAL = _group(
    "journal",
    _KEEP,
    "Who did what, when and why.",
    _command("show", "journal.show:show", "Show the journal."),
    _command("verify", "journal.verify:verify", "Find edits of journal and registry."),
)
_REGISTRY = _group(
    "registry",
    _KEEP,
    "The registry: backup, restore, export, rebuild.",
    _command("backup", "registry.backup:backup", "Write a backup of the registry."),
    _command("restore", "registry.restore:restore", "Go back to a backup."),
    _command("export", "registry.export:export", "Write the current licenses as TOML for apply."),
    _command("import", "registry.import_:import_files", "Rebuild the registry from license files."),
)
_CONFIG = _group(
    "config",
    _KEEP,
    "The settings.",
    _command("show", "config.show:show", "Show the settings and where each comes from."),
    _command("set", "config.set:set_value", "Change a setting."),
    _command("path", "config.path:path", "Print the path of the settings file."),
    _command(
        "mail-template", "config.mail_template:mail_template", "Print the text of mail drafts."
    ),
)

COMMANDS = Entry(
    name="polygent-issue",
    help="Issue, renew and verify Polygent licenses, offline.",
    entries=(
        _command("init", "init:init", "Make the home: settings and registry.", _BEGIN),
        _command("sign", "sign:sign", "Sign a customer's first license.", _ISSUE),
        _command("renew", "renew:renew", "Issue the next license of a customer.", _ISSUE),
        _command("reissue", "reissue:reissue", "Issue again: same expiry, new file.", _ISSUE),
        _command("apply", "apply:apply", "Issue what a file of licenses wishes for.", _ISSUE),
        _command("verify", "verify:verify", "Check license files as the server would.", _CHECK),
        _command("inspect", "inspect:inspect", "Show what a license file says.", _CHECK),
        _command("sandbox", "sandbox:sandbox", "Try a license as the customer will.", _CHECK),
        _command("expiring", "expiring:expiring", "List the licenses that are due.", _CHECK),
        _CUSTOMER,
        _LICENSE,
        _MACHINE_INFO,
        _KEY,
        _JOURNAL,
        _REGISTRY,
        _CONFIG,
        _command("doctor", "doctor:doctor", "Find what is wrong, and how to mend it.", _CHECK),
        _command("completion", "completion:completion", "Print a script for TAB.", _BEGIN),
        _command("help", "help:help_", "Show a topic of the guide.", _BEGIN),
        _command("demo", "demo:demo", "Walk through the main job in a throw-away home.", _BEGIN),
    ),
)
