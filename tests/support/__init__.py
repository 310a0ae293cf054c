"""Support code of the tests: desks, registries, faults, terminals, tokens and servers."""
