"""Flows that several commands share: issue, renew, batches, mail drafts, key storage."""
