"""`polygent-issue registry`: its backup, its restoration, its export, its rebuilding."""
