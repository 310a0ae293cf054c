"""`polygent-issue key`: the signing keys. A private key is never shown."""
