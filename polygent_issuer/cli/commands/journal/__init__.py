"""`polygent-issue journal`: show or verify the journal of all changes."""
