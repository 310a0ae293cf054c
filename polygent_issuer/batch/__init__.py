"""Many licenses at once: rebuilt from their files, written out as rows that `apply` reads."""
