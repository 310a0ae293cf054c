"""`polygent-issue completion`: what TAB offers in bash, zsh, fish and PowerShell.

A script in the shell asks the tool itself (`__complete`, which no help lists) and gets lines:

    KIND [TAB BEFORE]           words, open (no space follows), files or folders
    VALUE [TAB HELP]            for each candidate of words

Typer's own scripts let the shell evaluate or split what the tool prints. Names of customers and
machines come from others, so here they are only ever data, and quoted for the shell at hand.
"""
