"""What can be wrong with the registry; each class is one stable code of exit 7, or says why not."""

from polygent_issuer.errors import ExitCode, HomeProblem, InputRefused, IssuerError


class RegistryMissing(HomeProblem):
    """There is no registry here, or its creation was interrupted; it is never made by the way."""

    code = "registry_missing"


class RegistryExists(HomeProblem):
    """Something is already where a registry was to be made."""

    code = "registry_exists"


class RegistryLocked(HomeProblem):
    """Another process kept the registry locked for longer than the busy timeout."""

    code = "registry_locked"


class RegistryDamaged(HomeProblem):
    """The file is no registry of this tool, or not as this tool left it."""

    code = "registry_damaged"


class RegistryNewer(HomeProblem):
    """The registry was written by a later version of this tool."""

    code = "registry_newer"


class RegistryFailed(HomeProblem):
    """The system could not read or write the registry: full disk, I/O error, no permission."""

    code = "registry_failed"


class SqliteTooOld(HomeProblem):
    """The SQLite library that Python was built with lacks what the registry needs."""

    code = "sqlite_too_old"


class Taken(InputRefused):
    """A slug, label, fingerprint or id that must be unique is there already."""

    code = "taken"


class RegistryMisuse(IssuerError):
    """A bug in this tool: it asked of the registry what is never allowed."""

    code = "registry_misuse"
    exit_code = ExitCode.BUG
