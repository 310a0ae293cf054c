"""Terms: what a customer may use, for how long, and how that changes (FORMAT §2, §6).

A first license takes its terms from a plan and the options; every later one from the license before
it, changed only by what was typed (DESIGN, "Command line").
"""
