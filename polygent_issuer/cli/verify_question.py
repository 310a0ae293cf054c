"""What `verify` is asked."""

from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.errors import UsageProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is to be verified, and as which server; the options as they were typed."""

    license_files: tuple[str, ...]
    recursive: bool
    license_id: str | None
    customer: str | None
    machine_info: str | None
    fingerprint: str | None
    host: str | None
    at: str | None
    install: bool
    public_keys: tuple[Path, ...]

    def require_one_meaning(self) -> None:
        """Hold that one thing says which licenses are meant, and as which machine.

        Raises:
            UsageProblem: (`usage`) nothing says so, or two things do.
        """
        ways = sum(bool(each) for each in (self.license_files, self.license_id, self.customer))
        if ways != 1:
            raise UsageProblem(
                "more than one thing says which license is meant"
                if ways
                else "nothing says which license is meant",
                hint="polygent-issue verify FILE, or --license ID, or --customer NAME",
            )
        if (*self.license_files, self.machine_info).count("-") > 1:
            raise UsageProblem("stdin can be read once", hint="give - in one place only")
        if self.machine_info and self.fingerprint:
            raise UsageProblem("a server has one machine", hint="--machine-info or --fingerprint")
