"""The home folder: the operator's settings and plans, the lock, and the making of a home.

Importing this package imports nothing; each noun has its module.
"""
