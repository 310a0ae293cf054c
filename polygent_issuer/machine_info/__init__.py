"""The document `machine-info.json` of a customer's server (FORMAT §4).

A license is bound to its fingerprint. The document is not authenticated, so the other fields prove
nothing.
"""
