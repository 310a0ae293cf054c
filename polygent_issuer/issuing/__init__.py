"""Issuing: decide, show, sign, record, deliver.

`first_license` and `next_license` make a `Proposal` and need no key; `--dry-run` stops there.
`signing` turns proposals into license files: sign, verify our own bytes, temporary file, COMMIT,
link, sync. A crash leaves either nothing, or a license whose file `outbox_delivery` delivers or
names.
"""
