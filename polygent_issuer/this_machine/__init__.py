"""This machine's own `machine-info.json`: for servers built on our library, and for tests.

The machine's id never leaves it: the document holds keyed hashes, which differ from those that any
other program makes of the same id.
"""

from polygent_issuer.this_machine.description import describe, image_id_warning
from polygent_issuer.this_machine.identity import MachineId, NoMachineId

__all__ = ["MachineId", "NoMachineId", "describe", "image_id_warning"]
