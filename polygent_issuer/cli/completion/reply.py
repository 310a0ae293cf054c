"""What TAB offers: words with a word of help each, or the files or folders that the shell finds."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What the candidates are; of files and folders the shell knows more than we do."""

    WORDS = "words"
    OPEN = "open"
    FILES = "files"
    FOLDERS = "folders"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may stand here, and what it is."""

    value: str
    told: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """Candidates, as whole words; or what of the word stands before a path."""

    kind: Kind = Kind.WORDS
    candidates: tuple[Candidate, ...] = ()
    before: str = ""
