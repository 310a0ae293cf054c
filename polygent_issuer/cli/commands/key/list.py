"""`polygent-issue key list`: list signing keys."""

from datetime import datetime

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.key import brief_place, key_json
from polygent_issuer.cli.output.model import Line, Style, Table
from polygent_issuer.cli.output.records import list_command
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import keys
from polygent_issuer.terms import dates


def list_all(invocation: Invocation) -> Report:
    """List signing keys.

    For each key the list shows its state, the store of the private key, the backup and the number
    of current licenses signed with it.
    """
    members, rows, lines = [], [], []
    styles: list[Style] = []
    with invocation.registry.reading(checked=False) as db:
        uses = keys.uses(db)
        for key in keys.every(db):
            store = place_of(invocation.settings, key.kid)
            current = uses[key.kid].current if key.kid in uses else 0
            since = keys.compromised_since(db, key) or key.retired_at
            members.append(
                {
                    **key_json(key, store),
                    "current_licenses": current,
                    "compromised_since": dates.optional_instant(since if key.compromised else None),
                }
            )
            state = key.state
            ended = "" if since is None else f" since {since.date().isoformat()}"
            rows.append(
                (
                    *(key.label, f"{state}{ended}", key.kid[:8], str(current)),
                    *(_day(key.backed_up_at), _day(key.created_at), brief_place(store)),
                )
            )
            styles.append("good" if key.active else "plain")
            if current and not key.may_sign:
                line = (
                    f"to list licenses signed with {key.label} ({state}): {list_command(key.label)}"
                )
                lines.append(Line(line, "bad" if key.compromised else "dim"))
    if not members:
        none = Line("no keys yet; to generate one: polygent-issue key generate", "dim")
        return Report({"keys": []}, [none])
    headers = ("label", "state", "kid", "current licenses", "backup", "created", "store")
    return Report({"keys": members}, [Table(headers, rows, styles), *lines])


def _day(moment: datetime | None) -> str:
    return "none" if moment is None else moment.date().isoformat()
