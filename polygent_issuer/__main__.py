"""The command `polygent-issue`; answers `--version` before anything else is imported."""

import sys
from contextlib import suppress


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from polygent_issuer import __version__

        with suppress(OSError, AttributeError):  # the command line says what is wrong with stdout
            sys.stdout.write(f"polygent-issue {__version__}\n")
            sys.stdout.flush()
            return
    import gc

    gc.set_threshold(100_000)  # collecting while modules are imported costs a tenth of the start
    from polygent_issuer.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()  # the last collection need not look at all that was imported
    sys.exit(code)


if __name__ == "__main__":
    main()
