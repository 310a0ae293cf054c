"""The checks of the fault tests detect each broken promise."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.aftermath import Aftermath
from support.batch_aftermath import acknowledged, kind
from support.cli import Outcome
from support.errands import Errand, Errands
from support.fault_figures import BROKEN, Tried, batches, figures, write_batches
from support.forks import Forks
from support.held import Held
from support.key_aftermath import KEYS, KeyAftermath
from support.keys import opened
from support.twenty import ITEMS

from polygent_issuer.home.settings import settings_path

pytestmark = pytest.mark.slow

FAILED = Outcome(code=1, out=b"", err="error: x\nTraceback")


def run_well(errand: Errand, forks: Forks) -> tuple[Held, Outcome]:
    """Run a command without a fault; its check finds no problem."""
    before = errand.begin()
    outcome, _ = errand.run(forks)
    assert errand.judge(before, outcome).problems == []
    return before, outcome


def kinds(after: Aftermath) -> set[str]:
    """Return the problems without details."""
    return {problem.partition(":")[0] for problem in after.problems}


def test_the_check_of_issuing(errands: Errands, forks: Forks) -> None:
    """It detects a cut or missing file, a temporary file, a traceback, and two licenses."""
    errand = errands("sign")
    before, done = run_well(errand, forks)
    [file] = errand.desk.output.glob("*.lic")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "half a file" in kinds(errand.judge(before, done))
    file.unlink()
    problems = errand.judge(before, done).problems
    assert "exit 0, but no license was delivered" in problems
    assert any("neither delivered nor reported" in problem for problem in problems)
    file.write_bytes(whole)
    (errand.desk.output / ".polygent-x.tmp").write_bytes(b"")
    after = errand.judge(before, FAILED)
    after.sign_for_another(1)
    assert {"traceback", "a bug", "left in the output folder"} <= kinds(after)
    assert "2 licenses of one command" in errand.judge(before, done).problems


def test_the_check_of_a_change(errands: Errands, forks: Forks) -> None:
    """It detects a partial, an unreported, or a missing change, and changed settings."""
    errand = errands("license retire")
    before, done = run_well(errand, forks)
    assert errand.done is not None
    half = replace(errand, done=replace(errand.done, rows={}))
    assert "half of it is in the registry" in kinds(half.judge(before, done))
    errand.begin()
    assert "exit 0, but it is not done" in kinds(errand.judge(before, done))
    with settings_path(errand.desk.home).open("a") as settings:
        settings.write("\n")
    assert "settings" in kinds(errand.judge(before, FAILED))


def test_the_check_of_a_new_key(errands: Errands, forks: Forks) -> None:
    """It detects a missing, cut, readable or unencrypted private key, and broken settings."""
    errand = errands("key generate")
    before, done = run_well(errand, forks)
    file = errand.desk.folder / KEYS / "second.key"
    sealed = file.read_bytes()

    def problem_kinds() -> set[str]:
        after = errand.judge(before, done)
        assert isinstance(after, KeyAftermath)
        after.judge_keys()
        return {" ".join(problem.split()[:3]) for problem in after.problems}

    def pinned(problem: str) -> bool:
        return problem.endswith("has no")

    assert problem_kinds() == set()
    file.write_bytes(sealed[: len(sealed) // 2])
    assert "half a key" in problem_kinds()
    file.unlink()
    assert any(pinned(problem) for problem in problem_kinds())
    file.write_bytes(sealed)
    assert problem_kinds() == {"others may read"}
    file.chmod(0o600)
    key = opened(file)
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (errand.desk.home / "left").write_bytes(plain)
    assert problem_kinds() == {"a private key"}
    (errand.desk.home / "left").unlink()
    with settings_path(errand.desk.home).open("a") as settings:
        settings.write("# torn\n")
    assert "settings: b'issuer" not in problem_kinds()
    assert any(problem.startswith("settings:") for problem in problem_kinds())


def test_the_check_of_a_batch(errands: Errands, forks: Forks) -> None:
    """It detects a cut or missing acknowledged file, and an item that is issued twice."""
    errand = errands("renew many")
    before, done = run_well(errand, forks)
    licenses = list(acknowledged(done.out))
    assert len(licenses) == ITEMS
    file = Path(licenses[3]["file"])
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert sorted(map(kind, errand.judge(before, done).problems)) == ["lost", "repair", "torn"]
    file.unlink()
    assert "acknowledged without file" in kinds(errand.judge(before, done))
    file.write_bytes(whole)
    errand.desk.ok("renew", licenses[3]["customer"], "--accept", "not-due", "--reason", "x")
    after = errand.judge(before, done)
    after.go_on(errand.task.argv, 1)
    assert "twice" in map(kind, after.problems)
    errand.begin()
    problems = errand.judge(before, done).problems
    assert "exit 0, and it is not done" in problems
    assert sum(problem.startswith("acknowledged and lost") for problem in problems) == ITEMS


REPORT = """<testsuites><testsuite>
<testcase name="a"><properties><property name="errand" value="sign"/>
<property name="points" value="3"/><property name="broken" value="1"/></properties></testcase>
<testcase name="b"><properties><property name="errand" value="sign"/>
<property name="points" value="4"/><property name="broken" value="0"/></properties></testcase>
<testcase name="c"/>%s</testsuite></testsuites>"""


def test_the_figures_are_sums(tmp_path: Path) -> None:
    """A test that failed before it recorded its figures makes them invalid."""
    report = tmp_path / "points.xml"
    report.write_text(REPORT % "")
    assert figures(report) == [("sign", 7, 1), ("together", 7, 1)]
    report.write_text(REPORT % '<testcase name="d"><failure/></testcase>')
    with pytest.raises(ValueError, match="d failed"):
        figures(report)


def test_the_figures_of_batches_are_sums(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorded figures of batches are added up in a row of the table."""
    broken = Counter({kind: number for number, kind in enumerate(BROKEN)})
    tried = Tried(name="apply", points=3, acknowledged=40, broken=broken)
    properties = "".join(
        f'<property name="{k}" value="{v}"/>' for k, v in tried.properties().items()
    )
    case = f'<testcase name="a"><properties>{properties}</properties></testcase>'
    report = tmp_path / "points.xml"
    report.write_text(f"<testsuites><testsuite>{2 * case}</testsuite></testsuites>")
    write_batches(batches(report))
    assert "| apply | 6 | 80 | 0 | 2 | 4 | 6 |" in capsys.readouterr().out
