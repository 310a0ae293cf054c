"""Checks of the installation, with a fix for each problem; nothing is changed.

`examine` runs one ordered table of small checks. When a check needs something that could not be
opened, its row gives the reason, and the next check runs.
"""

from polygent_issuer.doctor.checks import Examination, examine
from polygent_issuer.doctor.context import State, Verdict

__all__ = ["Examination", "State", "Verdict", "examine"]
