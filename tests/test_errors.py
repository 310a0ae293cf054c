"""The issuer's errors: stable codes, the exit codes of DESIGN, messages and hints."""

import copy
import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator

import pytest

import polygent_issuer
from polygent_issuer.batch.rows import DuplicateRow
from polygent_issuer.cli.errors_boundary import to_issuer_error
from polygent_issuer.errors import (
    Ambiguous,
    ExitCode,
    HomeMissing,
    HomeProblem,
    InputRefused,
    InvalidMachineInfo,
    InvalidSettings,
    InvalidTerms,
    IssuerError,
    KeyUnavailable,
    MissingInput,
    NotFound,
    OutputExists,
    OutputProblem,
    RegistryChanged,
    SeveralProblems,
    UnreadableInput,
    UsageProblem,
)
from polygent_issuer.findings import ConsentNeeded, Finding, FindingCode
from polygent_issuer.verifier import InvalidDomain

# DESIGN, "Command line": the table of exit codes, and the codes that programs read.
STABLE = [
    (UsageProblem, "usage", 2),
    (InputRefused, "input_refused", 3),
    (MissingInput, "missing_input", 3),
    (UnreadableInput, "unreadable_input", 3),
    (InvalidMachineInfo, "invalid_machine_info", 3),
    (InvalidTerms, "invalid_terms", 3),
    (InvalidSettings, "invalid_settings", 3),
    (NotFound, "not_found", 5),
    (Ambiguous, "ambiguous", 5),
    (KeyUnavailable, "key_unavailable", 6),
    (HomeProblem, "home_problem", 7),
    (HomeMissing, "home_missing", 7),
    (RegistryChanged, "registry_changed", 7),
    (OutputProblem, "output_failed", 8),
    (OutputExists, "output_exists", 8),
]

OUR_OWN_FAULT = {"bug", "process_lost", "registry_misuse"}
"""The codes of errors that an operator's input never causes."""


def descendants(root: type[IssuerError]) -> Iterator[type[IssuerError]]:
    """Yield every class below `root`."""
    for child in root.__subclasses__():
        yield child
        yield from descendants(child)


def every_error() -> list[type[IssuerError]]:
    """Return every error class of the package, in whatever module it is declared."""
    for module in pkgutil.walk_packages(polygent_issuer.__path__, "polygent_issuer."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [e for e in dict.fromkeys(descendants(IssuerError)) if e.__module__.startswith("polyg")]


@pytest.mark.parametrize(("error", "code", "exit_code"), STABLE)
def test_codes_and_exits_are_stable(error: type[IssuerError], code: str, exit_code: int) -> None:
    """The code and the exit code of an error never change, because scripts rely on them."""
    assert (error.code, int(error.exit_code)) == (code, exit_code)


def test_exit_codes_are_those_of_the_design() -> None:
    """The process exits with these numbers and no others."""
    assert {e.name: int(e) for e in ExitCode} == {
        "DONE": 0,
        "BUG": 1,
        "USAGE": 2,
        "INPUT": 3,
        "CONSENT": 4,
        "NOT_FOUND": 5,
        "KEY": 6,
        "REGISTRY": 7,
        "OUTPUT": 8,
        "DUE": 9,
        "NOT_AUTHENTIC": 10,
        "NOT_ACCEPTED": 11,
        "BATCH": 20,
        "INTERRUPTED": 130,
    }


def test_an_error_carries_its_message_and_hint() -> None:
    """`message` and `str()` state what happened, `hint` states what to do."""
    error = NotFound("no customer acme", hint="polygent-issue customer list")
    assert (error.message, str(error)) == ("no customer acme", "no customer acme")
    assert error.hint == "polygent-issue customer list"


def test_a_hint_is_optional() -> None:
    """An error without a hint has None."""
    assert NotFound("no customer acme").hint is None


def test_a_changed_registry_is_reported_in_one_wording() -> None:
    """The message states what did not happen; a command may replace the hint."""
    changed = RegistryChanged.since_shown("nothing was merged")
    assert changed.message == "the registry changed after the preview; nothing was merged"
    assert changed.hint == "run the command again and check the new preview"
    elsewhere = RegistryChanged.since_shown("nothing was changed", hint="polygent-issue key list")
    assert elsewhere.hint == "polygent-issue key list"


def test_no_two_errors_declare_the_same_code() -> None:
    """A code identifies one error in the whole package."""
    codes = [error.code for error in every_error() if "code" in vars(error)]
    assert sorted(codes) == sorted(set(codes))


def test_every_error_has_a_code() -> None:
    """No error uses the root's code `error`, and only the tool's own faults exit as a bug."""
    for error in every_error():
        assert error.code != IssuerError.code, error
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code), error
        assert error.exit_code is not ExitCode.BUG or error.code in OUR_OWN_FAULT, error
        assert error.exit_code is not ExitCode.DONE, error


def test_a_subclass_keeps_its_parents_exit() -> None:
    """A subclass has the exit code of its parent."""
    for error in every_error():
        for parent in error.__mro__[1:]:
            if issubclass(parent, IssuerError) and parent is not IssuerError:
                assert error.exit_code is parent.exit_code, error


def test_several_problems_are_one_error() -> None:
    """It has the code of the first and names the first twenty; a single one stays as it is."""
    with pytest.raises(InputRefused, match=r"^0$"):
        SeveralProblems.raise_for([InputRefused("0")])
    with pytest.raises(SeveralProblems) as caught:
        SeveralProblems.raise_for([InputRefused(str(number), hint="x") for number in range(25)])
    assert (caught.value.code, caught.value.exit_code) == ("input_refused", 3)
    assert caught.value.message.endswith("; 18; 19; and 5 more problems")
    assert len(caught.value.problems) == 25


def test_every_error_reaches_another_process() -> None:
    """Pickle and copy keep message, hint, code and evidence of every error."""
    errors: list[IssuerError] = [
        DuplicateRow("row 1 and row 3"),
        ConsentNeeded((Finding(code=FindingCode.NOT_DUE, message="early", hint="wait"),)),
        to_issuer_error(InvalidDomain("no domain", hint="write one")),
    ]
    for kind in every_error():
        error = kind.__new__(kind, "why")
        IssuerError.__init__(error, "why", hint="what to do")
        errors.append(error)
    for error in errors:
        pickles = [pickle.dumps(error, each) for each in range(2, pickle.HIGHEST_PROTOCOL + 1)]
        copies = [*map(pickle.loads, pickles), copy.copy(error), copy.deepcopy(error)]
        for made in copies:
            assert (type(made), str(made), vars(made)) == (type(error), str(error), vars(error))
            assert (made.code, made.exit_code, made.args) == (
                error.code,
                error.exit_code,
                error.args,
            )
