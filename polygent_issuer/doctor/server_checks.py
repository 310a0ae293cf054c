"""Checks of the server of a team's registry."""

from datetime import datetime
from typing import Final

from polygent_issuer.doctor.context import Verdict, fail, not_checked, ok, warn
from polygent_issuer.errors import ExitCode
from polygent_issuer.registry.change import CLOCK_TOLERANCE
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.registry.postgres.server import APPLICATION, ServerFacts
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, run

OLDEST_SERVER: Final = 150000
"""The oldest `server_version_num` with which the registry is tested."""
_FEW_CONNECTIONS: Final = 5
_LONG: Final = 10
"""The seconds after which a session that holds the lock is a problem: a group takes 0.25."""
_FAR_BEHIND: Final = 64 * 1024 * 1024
_TEAM: Final = run("help", "team")


def server_version(facts: ServerFacts) -> Verdict:
    """Check that the registry is tested with the server's version."""
    name = f"PostgreSQL {facts.version_text}"
    if facts.version >= OLDEST_SERVER:
        return ok(name)
    oldest = OLDEST_SERVER // 10000
    return warn(f"{name} is not supported: {oldest} or newer is", "upgrade the server")


def tls(facts: ServerFacts) -> Verdict:
    """Report how the connection is protected; an unprotected one is never made."""
    if facts.is_local:
        return ok("local socket")
    if facts.tls:
        return ok(f"{escape(facts.tls)}; the server's certificate was verified")
    return warn(
        "encrypted by GSSAPI, without TLS", "add hostssl to pg_hba.conf, without hostgssenc"
    )


def encoding(facts: ServerFacts) -> Verdict:
    """Check that the database stores any text, and compares it byte by byte."""
    if facts.encoding != "UTF8":
        return fail(
            f"the encoding of the database is {escape(facts.encoding)}, so it cannot store every "
            "name",
            Hint("create a database with the encoding UTF8, then ", run("registry", "move")),
            ExitCode.REGISTRY,
        )
    if facts.other_collations:
        return fail(
            f"the collation of {escape(facts.other_collations)} is not C, so searches miss rows",
            'let the owner run ALTER TABLE … ALTER COLUMN … TYPE text COLLATE "C"',
            ExitCode.REGISTRY,
        )
    return ok("UTF8; each text column has the collation C")


def server_clock(facts: ServerFacts, now: datetime) -> Verdict:
    """Check that the clocks of this machine and the server agree."""
    theirs = f"{dates.instant(facts.now)} at the server"
    if abs(facts.now - now) > CLOCK_TOLERANCE:
        return warn(
            f"{theirs}, but {dates.instant(now)} at this machine", "set the clock that is wrong"
        )
    return ok(f"{theirs}; this machine's clock agrees")


def durability(facts: ServerFacts) -> Verdict:
    """Check that a crash of the server loses no license that was issued."""
    if facts.unsafe:
        return fail(
            f"{', '.join(facts.unsafe)}: a crash of the server loses or damages issued licenses",
            Hint("set to on in postgresql.conf, or with ALTER DATABASE or ALTER ROLE: ", _TEAM),
            ExitCode.REGISTRY,
        )
    checksums = "on" if facts.checksums else "off"
    return ok(f"each COMMIT is on the server's disk; data checksums: {checksums}")


def replication(facts: ServerFacts) -> Verdict:
    """Check the server's standbys, as far as the user may see them."""
    if facts.is_standby:
        return fail(
            "the server is a standby, which cannot write",
            Hint(
                "let the setting registry name the primary, or add "
                "target_session_attrs=read-write to its URI: ",
                run("config", "path"),
            ),
            ExitCode.REGISTRY,
        )
    if not facts.standbys:
        if facts.waits_for and facts.commit != "local":
            return fail(
                "each COMMIT waits for a synchronous standby, and none is connected",
                "start the standby, or let the administrator change synchronous_standby_names",
                ExitCode.REGISTRY,
            )
        return ok("no standby: after the loss of the server, only backups remain")
    if not facts.sees_standbys:
        return not_checked(
            f"only members of pg_monitor see the state of standbys (connected: {facts.standbys})"
        )
    return _states(facts)


def connections(facts: ServerFacts) -> Verdict:
    """Check that further commands can connect."""
    message = f"{facts.connections_left} of {facts.connections} connections are free"
    if facts.connections_left < _FEW_CONNECTIONS:
        return warn(message, "end idle sessions, or raise max_connections on the server")
    return ok(message)


def writer(facts: ServerFacts) -> Verdict:
    """Check that no session keeps the lock of all writers, which any user can take."""
    holder = facts.writer
    if holder is None:
        return ok("no session holds the lock of the commands that write")
    held = f"{holder} holds the lock of the commands that write"
    since = holder.since or facts.now
    is_ours = holder.application == APPLICATION
    if is_ours and max(holder.waited, (facts.now - since).total_seconds()) < _LONG:
        return ok(held)
    return warn(f"{held}, so they wait", holder.fix)


def roles(facts: ServerFacts) -> Verdict:
    """Check that the user has roles with which the journal cannot be changed."""
    session = facts.session
    has = ", ".join(each for each in session.roles if each is not Role.OWNER) or "none"
    lacks = ", ".join(each for each in Role if each not in (*session.roles, Role.OWNER))
    message = f"{escape(session.user)} has {has}" + (f"; not {lacks}" if lacks else "")
    fix = Hint("work as a user with the roles that you need: ", run("registry", "roles"))
    if facts.is_superuser:
        return warn(f"{escape(session.user)} is a superuser, who can change the journal", fix)
    if Role.OWNER in session.roles:
        return warn(f"{escape(session.user)} is the owner, who can change the journal", fix)
    if facts.may_rewrite:
        again = Hint("grant the roles again: ", run("registry", "roles", "--sql"))
        return warn(f"{message}; but the user can change the journal", again)
    return ok(message)


def _states(facts: ServerFacts) -> Verdict:
    parts = [
        f"{escape(each.name)} {'synchronous' if each.is_synchronous else 'asynchronous'}, "
        f"{each.behind // 1024} KiB behind"
        for each in facts.states
    ]
    message = "; ".join(parts) or "the standbys are not ready"
    if any(each.behind > _FAR_BEHIND for each in facts.states):
        return warn(message, "check the network and the disk of the standby that is behind")
    if facts.waits_for and facts.commit == "local":
        return warn(
            f"{message}; a COMMIT does not wait for them, since synchronous_commit is local",
            "set synchronous_commit to on",
        )
    if facts.waits_for and not any(each.is_synchronous for each in facts.states):
        return fail(
            f"{message}; each COMMIT waits for a synchronous standby, and none is connected",
            "start the standby, or let the administrator change synchronous_standby_names",
            ExitCode.REGISTRY,
        )
    return ok(message)
