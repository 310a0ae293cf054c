"""`polygent-issue machine-info`: check or create a machine-info.json."""
