"""`polygent-issue config`: the operator's settings."""
