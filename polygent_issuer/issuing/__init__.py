"""Issuing: decide, show, sign, record, deliver.

`first_license` and `renewal` decide and need no key; `--dry-run` stops at their `Proposal`.
`signing` turns proposals into license files: sign, verify our own bytes, temporary file, COMMIT,
link, sync. A crash anywhere leaves nothing, or a license whose file `outbox_delivery` delivers or
names.
"""
