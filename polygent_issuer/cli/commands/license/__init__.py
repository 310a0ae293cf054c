"""`polygent-issue license`: every license that was ever issued, with its file."""
