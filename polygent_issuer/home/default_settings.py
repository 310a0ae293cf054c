"""The settings file that `init` writes: every key with a line on what it is for."""

from collections.abc import Mapping
from textwrap import fill, indent

from polygent_issuer.home.plans import SHIPPED_PLANS, plan_toml
from polygent_issuer.home.setting_specs import KEYS, kind_of
from polygent_issuer.home.setting_types import TomlValue
from polygent_issuer.home.settings import Settings
from polygent_issuer.home.settings_file import interpret, parse
from polygent_issuer.text import for_toml

_HEAD = """\
# Settings of polygent-issue. A line that begins with # is a comment: it shows the default, or
# an example; take the # away to change it.
#
#   polygent-issue config show              what is in force, and where it comes from
#   polygent-issue config set KEY VALUE     changes one value, keeps these comments
"""

_PLANS_HEAD = """\
# Plans fill a customer's first license; a later change here never flows into a renewal. Add your
# own: [plans.NAME] with the same keys.
#   tier            standard (one machine) or enterprise (any machine, perhaps one domain)
#   term            how long a license runs: 1y, 6mo or 90d
#   renewable       false: batches skip it, one by one it needs --plan or --term
#   users           how many users may be active
#   session_hosts   how many hosts may run sessions; 0 = none
#   deploy_hosts    how many hosts may be deployed to; 0 = none
#   features        what may be used; sso-saml, audit-export, multi-tenant need enterprise
"""

STORES_HEAD = """\
# Below, in the table stores, key generate and key import note where each private key lies.
"""

_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\"})


def default_text(**given: str | None) -> str:
    """The commented settings.toml, with plans as tables; what is at its default is a comment.

    Args:
        given: values by key, as `config set` takes them; None leaves the default.

    Raises:
        InvalidSettings: (`invalid_settings`) for a key or a value that the settings refuse.
    """
    values = {name: _checked(name, text) for name, text in given.items() if text is not None}
    text = "\n".join([_HEAD, *(_key(name, values) for name in KEYS), plans_text(), STORES_HEAD])
    interpret(parse(text))
    return text


def plans_text() -> str:
    """The shipped plans as TOML tables, under a comment."""
    plans = (plan_text(plan.name, plan_toml(plan)) for plan in SHIPPED_PLANS.values())
    return "\n".join([_PLANS_HEAD, *plans])


def plan_text(name: str, values: Mapping[str, TomlValue]) -> str:
    """One plan as a TOML table."""
    lines = [f"[plans.{name}]"]
    for key, value in values.items():
        if isinstance(value, list):
            items = fill(", ".join(map(toml_literal, value)), 96, break_on_hyphens=False)
            lines += [f"{key} = [", indent(f"{items},", "    "), "]"]
        else:
            lines.append(f"{key} = {toml_literal(value)}")
    return "\n".join([*lines, ""])


def toml_literal(value: TomlValue) -> str:
    """Return one value as TOML 1.0 writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(toml_literal(item) for item in value)}]"
    return f'"{for_toml(value.translate(_ESCAPES))}"'


def _checked(name: str, text: str) -> TomlValue:
    kind = kind_of(name)
    value = kind.typed(text, name)
    kind.read(value, name)
    return value


def _key(name: str, values: dict[str, TomlValue]) -> str:
    key = KEYS[name]
    about = f"# {key.about[0].upper()}{key.about[1:]}."
    if name in values:
        return f"{about}\n{name} = {toml_literal(values[name])}\n"
    default = getattr(Settings(), name)
    shown = key.example if default is None else key.kind.text(default)
    return f"{about}\n# {name} = {toml_literal(key.kind.typed(shown, name))}\n"
