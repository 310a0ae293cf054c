"""The document that a customer's server gives out: `machine-info.json` (FORMAT §4).

Its sender wrote every word of it: the fingerprint binds a license, the rest proves nothing.
"""

from polygent_issuer.machine_info.document import parse
from polygent_issuer.machine_info.encoding import LIMIT
from polygent_issuer.machine_info.fields import MachineInfo
from polygent_issuer.machine_info.judgement import (
    ComponentChange,
    ComponentState,
    changed_components,
    freshness_finding,
)

__all__ = [
    "LIMIT",
    "ComponentChange",
    "ComponentState",
    "MachineInfo",
    "changed_components",
    "freshness_finding",
    "parse",
]
