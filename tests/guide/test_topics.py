"""The guide's topics are complete, and the generated ones are up to date.

`python tests/guide/test_topics.py --write` writes the generated topics.
"""

import json
import re
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support import json_schema
from support.runbooks import blocks, titles

import polygent_issuer
from polygent_issuer.delivery import backup_settings
from polygent_issuer.findings import MEANINGS, FindingCode
from polygent_issuer.guide import JSON_SCHEMA, TOPICS, markdown
from polygent_issuer.home.setting_types import SHIPPED_PLANS, plan_texts
from polygent_issuer.home.settings import KEYS, load
from polygent_issuer.verifier import CheckCode

GUIDE = Path(polygent_issuer.__file__).parent / "guide"
RUNBOOKS = Path(__file__).parents[1] / "runbooks"


def findings() -> str:
    """Return the topic *findings*."""
    table = "".join(f"| `{code}` | {meaning} |\n" for code, meaning in MEANINGS.items())
    return f"""\
# Findings

What is allowed but risky is a finding with a code. It is neither an error nor a silent success. On
a terminal the command asks for each finding, and for a reason. Elsewhere it stops with exit 4,
names each finding, and prints the options that accept it:

```sh
polygent-issue renew acme \\
    --accept not-due --reason 'the contract was signed early'
```

`--accept` can be repeated. A code that is not needed does no harm. The journal records who accepted
what, when and why. `--yes` skips the confirmation and accepts no finding. What you type yourself is
a decision: `polygent-issue renew acme --users 25` needs no consent for fewer users. The rows of a
batch are not typed, so everything that a row takes away is `entitlement-loss`.

| code | when |
|---|---|
{table}"""


def settings() -> str:
    """Return the topic *settings*."""
    defaults = load(Path("/nowhere"), {}).texts
    rows = "".join(
        f"| `{key}` | {defaults[key] or 'not set'} | {spec.about} |\n" for key, spec in KEYS.items()
    )
    plans = "".join(
        "| `{}` | {tier} | {term} | {users} | {session_hosts} | {deploy_hosts} |\n".format(
            name, **plan_texts(plan)
        )
        for name, plan in SHIPPED_PLANS.items()
    )
    return f"""\
# Settings

The settings are a TOML file in the home. `polygent-issue config path` prints its path.
`polygent-issue config show` lists each setting with its value, source and meaning.
`polygent-issue config set KEY VALUE` changes one and keeps your comments.

| setting | default | meaning |
|---|---|---|
{rows}
## Settings of a team

In a registry that several homes share, `issuer`, `upload_window`, `plans`, `default_plan`,
`features` and `require_order_id` are settings of the registry: every operator signs with the
same ones. The first home puts its own there. From then on those in a home's file do not count.
Then `config show` prints `registry` as their source, and which settings of the file are
overridden.

`config set` changes them in the registry, which needs the role manager. The journal records the
old and the new value (`settings-changed`). `config set upload_window none` removes one, so that
its default applies in all homes; for one that is never empty, the value is an empty text. A
command that is running keeps the settings with which it began. A backup of the registry
contains them, and a registry that was restored into a file keeps them.

## Key stores

The table `stores` names the key store of each key, by kid, and the table `backups` its backups. The
`key` commands maintain both; `config set backups.KID none` forgets the backups of a key.

## Plans

A plan presets the terms of a first license. These plans are written by `init`, for you to edit:

| plan | tier | term | users | session hosts | deploy hosts |
|---|---|---|---|---|---|
{plans}
A new plan starts as a copy:

```sh
polygent-issue config set plans.partner standard-annual
polygent-issue config set plans.trial.users 10
polygent-issue config set plans.trial none
```

The last line removes a plan.
"""


GENERATED = {"findings": findings, "settings": settings}


@pytest.mark.parametrize("topic", GENERATED)
def test_a_generated_topic_is_up_to_date(topic: str) -> None:
    """A generated topic equals the text made from the tables in the code."""
    assert markdown(topic) == GENERATED[topic]()


def test_each_topic_is_a_listed_file_with_a_title() -> None:
    """Every file of the guide is a listed topic that begins with a title."""
    assert {path.stem for path in GUIDE.glob("*.md")} == set(TOPICS) - {"format", "enforcement"}
    for topic in TOPICS:
        assert markdown(topic).startswith("# "), topic


@pytest.mark.parametrize("topic", TOPICS)
def test_code_fits_into_80_columns(topic: str) -> None:
    """A terminal shows each line of a code block in one line, so it can be copied."""
    for code in re.findall(r"```[a-z]*\n(.*?)```", markdown(topic), re.DOTALL):
        for line in code.splitlines():
            assert len(line) <= 80, line


def test_every_code_is_explained() -> None:
    """Each finding has a meaning, and each check of a license is in the topic *server*."""
    assert list(MEANINGS) == list(FindingCode)
    for code in CheckCode:
        assert f"| `{code}` |" in markdown("server"), code


def test_every_setting_of_a_backup_is_named() -> None:
    """The topic *backup* names each setting in a backup, and none that stays at its machine."""
    named = set(re.findall(r"`(\w+)`", markdown("backup"))) & set(KEYS)
    assert named - {"operator"} == set(backup_settings.SETTINGS)


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_that_is_referred_to_exists(topic: str) -> None:
    """`polygent-issue help TOPIC` in a topic names an existing topic."""
    for name in re.findall(r"polygent-issue\s+help\s+(?:topics/)?([a-z-]+)", markdown(topic)):
        assert name in TOPICS, name


def test_the_json_schema_has_every_command() -> None:
    """The schema is valid, and `$defs` has an entry for each command that prints JSON."""
    schema = json.loads(JSON_SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    assert set(json_schema.command_names()) - set(schema["$defs"]) == {"sandbox"}


def test_every_runbook_is_run_by_a_test() -> None:
    """Each runbook has commands, and a test that runs them."""
    tests = "".join(path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("test_*.py"))
    for title in titles():
        assert blocks(title), title
        assert f'blocks("{title}")' in tests, title


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    for name, text in GENERATED.items():
        (GUIDE / f"{name}.md").write_text(text(), encoding="utf-8")
