"""Issuing: decide, show, sign, keep, deliver.

`first` and `following` decide and need no key; `--dry-run` stops at their `Proposal`. `publish`
turns proposals into license files: sign, verify our own bytes, temp file, COMMIT, link, sync. A
crash anywhere leaves nothing, or a license whose file `recover` delivers or names.
"""
