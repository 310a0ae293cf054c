"""The command line: parse, call the core, render its frozen result.

Only here are a clock, random ids, prompts, consoles and exit. `main.run` is the entry, one file
holds one command, and `commands.COMMANDS` is the one place where they are registered.
"""
