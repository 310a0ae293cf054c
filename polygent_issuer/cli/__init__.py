"""The command line: parse, call the core, render its frozen result.

Only here are a clock, random ids, prompts, consoles and exit. `app.run` is the entry, one file
holds one command, and `app.COMMANDS` is the one place where they are registered.
"""
