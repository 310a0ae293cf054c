"""Issuing: decide, show, sign, record, deliver.

`license_decision` decides and needs no key; `--dry-run` stops at its `Proposal`. `signing` makes
license files of proposals: sign, verify our own bytes, temporary file, COMMIT, link, sync. A crash
anywhere leaves nothing, or a license whose file `outbox_delivery` delivers or names.
"""
