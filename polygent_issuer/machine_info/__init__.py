"""The document that a customer's server gives out: `machine-info.json` (FORMAT §4).

Its sender wrote every word of it: the fingerprint binds a license, the rest proves nothing.
"""

from typing import TYPE_CHECKING

from polygent_issuer.machine_info.encoding import LIMIT
from polygent_issuer.machine_info.freshness import (
    ComponentChange,
    ComponentState,
    changed_components,
    freshness_finding,
)
from polygent_issuer.machine_info.placeholders import implausible_fingerprint, is_placeholder

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import parse
    from polygent_issuer.machine_info.fields import MachineInfo

__all__ = [
    "LIMIT",
    "ComponentChange",
    "ComponentState",
    "MachineInfo",
    "changed_components",
    "freshness_finding",
    "implausible_fingerprint",
    "is_placeholder",
    "parse",
]


def __getattr__(name: str) -> object:
    """Load pydantic when a document is read (PEP 562): most renewals are without one (100 ms)."""
    if name not in ("MachineInfo", "parse"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from polygent_issuer.machine_info import document  # noqa: PLC0415 - see above

    return getattr(document, name)
