"""What is wrong, and which command mends it: every check is a row, and nothing is changed.

`examine` goes through one ordered table of small checks. Each asks the case for what it needs;
when that could not be opened, its row says so, and the next check has its turn.
"""

from polygent_issuer.doctor.checks import Examination, examine
from polygent_issuer.doctor.verdict import Row, State

__all__ = ["Examination", "Row", "State", "examine"]
