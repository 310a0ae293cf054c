"""Checks of the installation: what is wrong, and which command fixes it; nothing is changed.

`examine` goes through one ordered table of small checks. When a check needs something that could
not be opened, its row says so, and the next check has its turn.
"""

from polygent_issuer.doctor.checks import Examination, examine
from polygent_issuer.doctor.context import State, Verdict

__all__ = ["Examination", "State", "Verdict", "examine"]
