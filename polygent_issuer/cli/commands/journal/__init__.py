"""`polygent-issue journal`: who did what, when and why, and whether that still stands."""
