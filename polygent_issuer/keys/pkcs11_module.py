"""A PKCS#11 module in this process: loading it, asking it in time, and saying what went wrong.

The module is the one that the store URI names, by its whole path; no environment variable and no
configuration of the system chooses one. It is foreign code: each call has a deadline, and what
the library raises is dropped, since it may quote what it was given.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pkcs11
from pkcs11.constants import TokenFlag

from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.files import ownership
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys import errors, pkcs11_errors
from polygent_issuer.keys.timeout import TimeoutExpired, run_with_timeout
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape, for_shell

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 -- a class

T = TypeVar("T")

# A module is initialised once per process, whoever uses it; the last one out finalises it.
_IN_USE: Final = Counter[str]()


class Pkcs11Module:
    """The module of a store URI, initialised; `close` lets go of it.

    Args:
        place: names the module and the token.
        timeout: how long any one call may take.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user can replace it.
        ModuleUnusable: (`module_unusable`) when it cannot be loaded or started.
        TokenTimeout: (`token_timeout`) when it does not answer in time.
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Load and initialise it."""
        _require_sound(place.module)
        self._place = place
        self._timeout = timeout
        self._stuck = False
        self._path = str(place.module)
        self._library = self.ask(partial(_load, self._path))
        _IN_USE[self._path] += 1

    @property
    def list_command(self) -> str:
        """What shows, without this tool, what the module knows."""
        return f"pkcs11-tool --module {for_shell(self._path)} --list-token-slots"

    def ask(self, call: Callable[[], T]) -> T:
        """Run a call into the module within the deadline.

        A module that did not answer is not called again: it may still be at it.

        Raises:
            KeyUnavailable: what `call` itself says, or what its failure means.
        """
        try:
            return self._in_time(call)
        except TimeoutExpired:
            self._stuck = True
            problem: IssuerError = errors.TokenTimeout(
                f"the token did not answer within {self._timeout.total_seconds():g} s",
                hint=Hint(
                    "touch it if it waits for that, or plug it in again; ",
                    run("config", "set", "keyring_timeout", "60s"),
                    " gives it more time",
                ),
            )
        except IssuerError as ours:
            problem = ours
        except Exception as error:  # noqa: BLE001 -- the library's, and what foreign bytes raise
            problem = pkcs11_errors.translate(error)
        except BaseException:  # Ctrl-C: the call goes on in its thread
            self._stuck = True
            raise
        raise problem

    def token(self) -> pkcs11.Token:
        """The one token that is as the URI says.

        Raises:
            TokenAbsent: (`token_absent`) when there is none.
            TokenAmbiguous: (`token_ambiguous`) when there are several.
        """
        found = self.ask(self._matching)
        if not found:
            raise errors.TokenAbsent(
                f"the PKCS#11 module shows no token {_named(self._place)}",
                hint=f"plug it in, or look at what is there: {self.list_command}",
            )
        if len(found) > 1:
            serials = ", ".join(escape(serial_of(token) or "none") for token in found)
            raise errors.TokenAmbiguous(
                f"{len(found)} tokens are {_named(self._place)}; their serials are {serials}",
                hint="add ;serial=NUMBER to the store",
            )
        return found[0]

    def close(self) -> None:
        """Finalise the module when nobody else uses it, which closes whatever is open in it."""
        _IN_USE[self._path] -= 1
        if not _IN_USE[self._path]:
            with suppress(KeyUnavailable):  # not even asked when it is stuck
                self.ask(self._library.finalize)

    def _in_time(self, call: Callable[[], T]) -> T:
        if self._stuck:
            raise TimeoutExpired
        return run_with_timeout(self._timeout, call)

    def _matching(self) -> list[pkcs11.Token]:
        found = []
        for slot in self._library.get_slots(token_present=True):
            with suppress(pkcs11.PKCS11Error):  # another reader's trouble is not ours
                token = slot.get_token()
                if token.flags & TokenFlag.TOKEN_INITIALIZED and _matches(token, self._place):
                    found.append(token)
        return found


def serial_of(token: pkcs11.Token) -> str | None:
    """A token's serial number, if it is text as it should be."""
    text = token.serial.decode("ascii", "replace")
    return text if text and text.isprintable() and text.isascii() else None


def _load(path: str) -> "Library":
    try:
        return pkcs11.lib(path)
    except (pkcs11.PKCS11Error, OSError, ImportError) as error:
        name = type(error).__name__
    raise errors.ModuleUnusable(
        f"the PKCS#11 module {escape(path)} cannot be loaded or started ({name})",
        hint="see what it says for itself, and whether you may read its files: "
        f"pkcs11-tool --module {for_shell(path)} --list-slots",
    )


def _require_sound(path: Path) -> None:
    """Refuse a module that is not a file, or that another user may replace: it gets the PIN."""
    try:
        mode = path.stat().st_mode
        ownership.require_code(path, "PKCS#11 module")
    except (OSError, ValueError) as error:
        why = os.strerror(getattr(error, "errno", None) or 22).lower()
        raise errors.ModuleUnusable(
            f"the PKCS#11 module {escape(str(path))} cannot be found: {why}",
            hint="check module-path; the token's software may not be installed on this machine",
        ) from None
    if not stat.S_ISREG(mode):
        raise errors.ModuleUnusable(
            f"the PKCS#11 module {escape(str(path))} is no file", hint="check module-path"
        )


def _matches(token: pkcs11.Token, place: TokenUri) -> bool:
    pairs: tuple[tuple[object, object], ...] = (
        (place.token, token.label),
        (place.serial, serial_of(token)),
        (place.manufacturer, token.manufacturer_id),
        (place.model, token.model),
        (place.slot, token.slot.slot_id),
    )
    return all(wanted is None or wanted == found for wanted, found in pairs)


def _named(place: TokenUri) -> str:
    words = {
        "": place.token,
        "serial ": place.serial,
        "of ": place.manufacturer,
        "model ": place.model,
        "in slot ": None if place.slot is None else str(place.slot),
    }
    return ", ".join(f"{word}{value}" for word, value in words.items() if value is not None)
