"""File input and output: `-`, bounded reads, atomic publication that never overwrites.

Publication has two steps, so that a registry can commit between them (DESIGN, "Registry and
journal"): `prepare` writes and syncs a temporary file in the target's folder, `Prepared.publish`
links it to its name. A crash leaves the temporary file, the finished file, or both, but never a
partial file under the final name.
"""
