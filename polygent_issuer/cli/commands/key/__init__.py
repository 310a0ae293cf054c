"""`polygent-issue key`: the signing keys. A private half is never shown."""
