"""The checks of the fault tests detect each broken promise."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.aftermath import Aftermath
from support.batch_aftermath import acknowledged, kind
from support.batch_items import ITEMS
from support.cli import Outcome
from support.desk_state import DeskState
from support.fault_figures import BROKEN, Tried, batches, figures, write_batches
from support.forks import Forks
from support.key_aftermath import KEYS, KeyAftermath
from support.keys import opened
from support.scenarios import Scenario, Scenarios

from polygent_issuer.home.settings import settings_path

pytestmark = pytest.mark.slow

FAILED = Outcome(code=1, out=b"", err="error: x\nTraceback")


def run_well(scenario: Scenario, forks: Forks) -> tuple[DeskState, Outcome]:
    """Run a command without a fault; its check finds no problem."""
    before = scenario.begin()
    outcome, _ = scenario.run(forks)
    assert scenario.judge(before, outcome).problems == []
    return before, outcome


def kinds(after: Aftermath) -> set[str]:
    """Return the problems without details."""
    return {problem.partition(":")[0] for problem in after.problems}


def test_the_check_of_issuing(scenarios: Scenarios, forks: Forks) -> None:
    """It detects a cut or missing file, a temporary file, a traceback, and two licenses."""
    scenario = scenarios("sign")
    before, done = run_well(scenario, forks)
    [file] = scenario.desk.output.glob("*.lic")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "half a file" in kinds(scenario.judge(before, done))
    file.unlink()
    problems = scenario.judge(before, done).problems
    assert "exit 0, but no license was delivered" in problems
    assert any("neither delivered nor reported" in problem for problem in problems)
    file.write_bytes(whole)
    (scenario.desk.output / ".polygent-x.tmp").write_bytes(b"")
    after = scenario.judge(before, FAILED)
    after.sign_for_another(1)
    assert {"traceback", "a bug", "left in the output folder"} <= kinds(after)
    assert "2 licenses of one command" in scenario.judge(before, done).problems


def test_the_check_of_a_change(scenarios: Scenarios, forks: Forks) -> None:
    """It detects a partial, an unreported, or a missing change, and changed settings."""
    scenario = scenarios("license retire")
    before, done = run_well(scenario, forks)
    assert scenario.done is not None
    half = replace(scenario, done=replace(scenario.done, rows={}))
    assert "half of it is in the registry" in kinds(half.judge(before, done))
    scenario.begin()
    assert "exit 0, but it is not done" in kinds(scenario.judge(before, done))
    with settings_path(scenario.desk.home).open("a") as settings:
        settings.write("\n")
    assert "settings" in kinds(scenario.judge(before, FAILED))


def test_the_check_of_a_new_key(scenarios: Scenarios, forks: Forks) -> None:
    """It detects a missing, cut, readable or unencrypted private key, and broken settings."""
    scenario = scenarios("key generate")
    before, done = run_well(scenario, forks)
    file = scenario.desk.folder / KEYS / "second.key"
    sealed = file.read_bytes()

    def problem_kinds() -> set[str]:
        after = scenario.judge(before, done)
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
    (scenario.desk.home / "left").write_bytes(plain)
    assert problem_kinds() == {"a private key"}
    (scenario.desk.home / "left").unlink()
    with settings_path(scenario.desk.home).open("a") as settings:
        settings.write("# torn\n")
    assert "settings: b'issuer" not in problem_kinds()
    assert any(problem.startswith("settings:") for problem in problem_kinds())


def test_the_check_of_a_batch(scenarios: Scenarios, forks: Forks) -> None:
    """It detects a cut or missing acknowledged file, and an item that is issued twice."""
    scenario = scenarios("renew many")
    before, done = run_well(scenario, forks)
    licenses = list(acknowledged(done.out))
    assert len(licenses) == ITEMS
    file = Path(licenses[3]["file"])
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert sorted(map(kind, scenario.judge(before, done).problems)) == ["lost", "repair", "torn"]
    file.unlink()
    assert "acknowledged without file" in kinds(scenario.judge(before, done))
    file.write_bytes(whole)
    scenario.desk.ok("renew", licenses[3]["customer"], "--accept", "not-due", "--reason", "x")
    after = scenario.judge(before, done)
    after.go_on(scenario.task.argv, 1)
    assert "twice" in map(kind, after.problems)
    scenario.begin()
    problems = scenario.judge(before, done).problems
    assert "exit 0, but it is not done" in problems
    assert sum(problem.startswith("acknowledged and lost") for problem in problems) == ITEMS


REPORT = """<testsuites><testsuite>
<testcase name="a"><properties><property name="scenario" value="sign"/>
<property name="points" value="3"/><property name="broken" value="1"/></properties></testcase>
<testcase name="b"><properties><property name="scenario" value="sign"/>
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
