"""Terms of a license: tier, features, limits and duration, and their changes (FORMAT §2, §6).

A first license takes its terms from a plan and the options. Every later one takes them from the
license before it, changed only by the options (DESIGN, "Command line").
"""
