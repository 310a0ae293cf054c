"""Issues, renews and verifies Polygent license files, offline."""

__version__ = "1.0.0"
