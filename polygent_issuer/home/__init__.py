"""The home: its folder, its settings with plans, those that a team shares, and its creation.

This package imports nothing; each noun has its own module.
"""
