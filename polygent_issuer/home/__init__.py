"""The home folder: the operator's settings and plans, the lock, and the creation of a home.

This package imports nothing; each noun has its own module.
"""
