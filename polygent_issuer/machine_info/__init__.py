"""The document that a customer's server gives out: `machine-info.json` (FORMAT §4).

Its sender wrote every word of it: the fingerprint binds a license, the rest proves nothing. Reading
one loads pydantic (100 ms), so `document` is imported only where a document is there.
"""
