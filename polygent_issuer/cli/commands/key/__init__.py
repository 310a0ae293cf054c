"""`polygent-issue key`: manage signing keys. Private keys are never printed."""
