"""Vectors for the daily alerts before an expiry, and the banner."""

from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from vectors.server_licenses import OTHER_FINGERPRINT, ends
from vectors.server_steps import (
    FIRST_DAY,
    TEN_YEARS,
    Json,
    install,
    machine,
    restart,
    step,
    vector,
)

ADA: Final = {"name": "ada", "address": "ada@example.internal"}
_BOB: Final = {"name": "bob", "address": None}
_NOT_DUE: Final[Json] = {"due": False}
_NO_MAIL: Final[Json] = {"due": True, "milestone": None}
_NINE: Final = "2026-07-01T09:00:00Z"

# Of each zone: the days of the mails (30, 14, 7 and 1 days) for a license that ends on 1 July at
# 00:00 and 09:00 in that zone, and at 00:00 UTC, with the days left in each mail.
_BEFORE_NINE: Final = (("05-31", 31), ("06-16", 15), ("06-23", 8), ("06-29", 2))
_AT_NINE: Final = (("06-01", 30), ("06-17", 14), ("06-24", 7), ("06-30", 1))
_AFTER_NINE: Final = (("06-01", 31), ("06-17", 15), ("06-24", 8), ("06-30", 2))
_DAY_BEFORE: Final = (("05-31", 31), ("06-16", 15), ("06-23", 8), ("06-29", 2))
_ZONES: Final = {
    "UTC": ("+00:00", _BEFORE_NINE),
    "Europe/Berlin": ("+02:00", _BEFORE_NINE),
    "Asia/Kolkata": ("+05:30", _BEFORE_NINE),
    "Asia/Tokyo": ("+09:00", _AT_NINE),
    "Australia/Sydney": ("+10:00", _AFTER_NINE),
    "Pacific/Apia": ("+13:00", _AFTER_NINE),
    "America/St_Johns": ("-02:30", _DAY_BEFORE),
    "America/New_York": ("-04:00", _DAY_BEFORE),
    "America/Los_Angeles": ("-07:00", _DAY_BEFORE),
}
# A week of 167 hours leaves less than 7 days at the 09:00 a week before, one of 169 hours more.
_BERLIN: Final = {
    "2026-03-30T09:00:00+02:00": (("02-27", 31), ("03-15", 15), ("03-22", 8), ("03-29", 1)),
    "2026-10-26T09:00:00+01:00": (("09-26", 31), ("10-12", 15), ("10-19", 8), ("10-25", 1)),
}


def every() -> list[Json]:
    """All these vectors."""
    return [*_zones(), *_deliveries(), *_conditions(), *_banners(), *_next_runs()]


def _run(
    now: str,
    expected: Json,
    zone: str = "UTC",
    *,
    delivered: bool = True,
    admins: tuple[Json, ...] = (ADA,),
) -> Json:
    more: Any = {"zone": zone, "admins": list(admins), "delivered": delivered}
    return step("daily alerts", now, expected, **more)


def mail(milestone: int, days_left: int, **more: Any) -> Json:
    """Return the answer of a run with a mail to Ada."""
    return {"due": True, "milestone": milestone, "daysLeft": days_left, "to": ["ada"], **more}


def _zones() -> list[Json]:
    cases = [
        (zone, expiry, mails)
        for zone, (offset, mails_of_utc) in _ZONES.items()
        for expiry, mails in {
            f"2026-07-01T00:00:00{offset}": _BEFORE_NINE,
            f"2026-07-01T09:00:00{offset}": _AT_NINE,
            "2026-07-01T00:00:00+00:00": mails_of_utc,
        }.items()
    ]
    cases += [("Europe/Berlin", expiry, mails) for expiry, mails in _BERLIN.items()]
    return [
        vector(
            f"the mails of a license that ends at {expiry}, in {zone}",
            install(ends(expiry)),
            *(
                run
                for milestone, (day, left) in zip((30, 14, 7, 1), mails, strict=True)
                for run in _around(zone, day, mail(milestone, left))
            ),
        )
        for zone, expiry, mails in cases
    ]


def _around(zone: str, day: str, mail: Json) -> list[Json]:
    """The runs of a day with a mail, and of the days before and after."""
    middle = date.fromisoformat(f"2026-{day}")
    return [
        _run(_nine(zone, middle + timedelta(days=days)), mail if days == 0 else _NO_MAIL, zone)
        for days in (-1, 0, 1)
    ]


def _nine(zone: str, day: date) -> str:
    return datetime(day.year, day.month, day.day, 9, tzinfo=ZoneInfo(zone)).isoformat()


def _deliveries() -> list[Json]:
    installed = install(ends(_NINE))
    return [
        vector(
            "a mail that was not delivered is tried at the next run, not in this one",
            installed,
            _run("2026-06-24T09:00:00Z", mail(7, 7), delivered=False),
            _run("2026-06-24T09:01:00Z", _NOT_DUE),
            _run("2026-06-24T23:59:00Z", _NOT_DUE),
            _run("2026-06-25T09:00:00Z", mail(7, 6), delivered=False),
            restart(),
            _run("2026-06-26T09:00:00Z", mail(7, 5)),
            _run("2026-06-27T09:00:00Z", _NO_MAIL),
        ),
        vector(
            "a milestone that has passed by then gives way to the present one",
            installed,
            _run("2026-06-29T09:00:00Z", mail(7, 2), delivered=False),
            _run("2026-06-30T09:00:00Z", mail(1, 1)),
        ),
        vector(
            "after missed runs, the present milestone alone",
            installed,
            _run("2026-06-01T09:00:00Z", mail(30, 30)),
            _run("2026-06-25T14:00:00Z", mail(7, 6)),
            _run("2026-06-26T09:00:00Z", _NO_MAIL),
            _run("2026-06-30T08:59:59.999999Z", _NO_MAIL),
            _run("2026-06-30T09:00:00Z", mail(1, 1)),
        ),
        vector(
            "a license that is installed within its last 30 days",
            installed,
            _run("2026-06-11T12:00:00Z", mail(30, 20)),
            _run("2026-06-12T09:00:00Z", _NO_MAIL),
        ),
        vector(
            "one run a day, at 09:00 in the zone of the server, or as soon as it runs",
            installed,
            _run("2026-06-23T09:00:00+02:00", mail(14, 9), "Europe/Berlin"),
            _run("2026-06-24T08:59:59.999999+02:00", _NOT_DUE, "Europe/Berlin"),
            _run("2026-06-24T09:00:00+02:00", mail(7, 8), "Europe/Berlin"),
            _run("2026-06-24T09:00:00.000001+02:00", _NOT_DUE, "Europe/Berlin"),
            restart(),
            _run("2026-06-24T12:00:00+02:00", _NOT_DUE, "Europe/Berlin"),
            _run("2026-06-26T03:00:00+02:00", _NO_MAIL, "Europe/Berlin"),
            _run("2026-06-26T09:00:00+02:00", _NO_MAIL, "Europe/Berlin"),
        ),
        vector(
            "a clock that was set back: another run, no mail again, and no older milestone",
            installed,
            _run("2026-06-24T09:00:00Z", mail(7, 7)),
            _run("2026-06-24T08:00:00Z", _NO_MAIL),
            _run("2026-06-23T10:00:00Z", _NO_MAIL),
        ),
    ]


def _conditions() -> list[Json]:
    installed = install(ends(_NINE))
    both, nobody = (ADA, _BOB), (_BOB, {"name": "cy", "address": ""})
    waits: Json = {**_NO_MAIL, "withoutAddress": ["bob", "cy"]}
    return [
        vector(
            "admins without an address are reported, and the others get the mail",
            installed,
            _run("2026-06-24T09:00:00Z", mail(7, 7, withoutAddress=["bob"]), admins=both),
        ),
        vector(
            "a milestone waits for an admin with an address",
            installed,
            _run("2026-06-24T09:00:00Z", waits, admins=nobody),
            _run("2026-06-25T09:00:00Z", {**_NO_MAIL, "withoutAddress": []}, admins=()),
            _run("2026-06-26T09:00:00Z", mail(7, 5)),
        ),
        vector(
            "no mail without an active license",
            _run(FIRST_DAY, _NO_MAIL),
            installed,
            machine(OTHER_FINGERPRINT),
            _run("2026-06-24T09:00:00Z", _NO_MAIL),
            machine("sha256:b09b44ad99942c4f8e2fd9d765274ee5c5a9ea54870ffb0ce0a163ce56cfa5c8"),
            _run("2026-06-25T09:00:00Z", mail(7, 6)),
            _run("2026-07-01T09:00:00Z", _NO_MAIL),
        ),
        vector(
            "each license has its own milestones",
            install("standard"),
            _run("2026-12-25T09:00:00Z", mail(7, 7)),
            install("issued later", "2026-12-25T10:00:00Z"),
            _run("2026-12-26T09:00:00Z", _NO_MAIL),
            _run("2027-12-24T09:00:00Z", mail(7, 8)),
            window=TEN_YEARS,
        ),
    ]


def _banners() -> list[Json]:
    levels = {
        "2026-06-01T08:59:59.999999Z": None,
        "2026-06-01T09:00:00Z": {"level": "notice", "daysLeft": 30},
        "2026-06-17T08:59:59.999999Z": {"level": "notice", "daysLeft": 15},
        "2026-06-17T09:00:00Z": {"level": "warning", "daysLeft": 14},
        "2026-06-24T09:00:00Z": {"level": "urgent", "daysLeft": 7},
        "2026-06-30T08:59:59Z": {"level": "urgent", "daysLeft": 2},
        "2026-06-30T09:00:00Z": {"level": "critical", "daysLeft": 1},
        "2026-07-01T08:59:59.999999Z": {"level": "critical", "daysLeft": 1},
        "2026-07-01T09:00:00Z": None,
    }
    return [
        vector(
            "the banner for admins as the expiry approaches",
            install(ends(_NINE)),
            *(step("banner", now, expected) for now, expected in levels.items()),
        )
    ]


def _next_runs() -> list[Json]:
    runs = [
        ("UTC", "2026-03-01T08:59:59.999999Z", "2026-03-01T09:00:00Z"),
        ("UTC", "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("Europe/Berlin", "2026-03-28T09:00:00+01:00", "2026-03-29T07:00:00Z"),
        ("Europe/Berlin", "2026-10-24T09:00:00+02:00", "2026-10-25T08:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T08:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25T08:00:00Z"),
        ("Australia/Sydney", "2026-06-30T23:00:00Z", "2026-07-01T23:00:00Z"),
        # The island had no 30 December.
        ("Pacific/Apia", "2011-12-29T09:00:00-10:00", "2011-12-30T19:00:00Z"),
    ]
    return [
        vector(
            "the next 09:00 in a zone",
            *(step("next run", now, {"at": at}, zone=zone) for zone, now, at in runs),
        )
    ]
