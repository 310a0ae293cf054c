"""The command `polygent-issue`; it answers `--version` before it imports anything else."""

import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and exit with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from polygent_issuer import __version__

        with suppress(OSError, AttributeError):  # the command line reports a broken stdout
            sys.stdout.write(f"polygent-issue {__version__}\n")
            sys.stdout.flush()
            return
    import gc

    gc.set_threshold(100_000)  # collections during imports would take a tenth of the start-up
    from polygent_issuer.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()  # the last collection skips the imported modules
    sys.exit(code)


if __name__ == "__main__":
    main()
