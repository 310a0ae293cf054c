"""Issues, renews and verifies Polygent license files, offline."""

__version__ = "0.1.0"
