"""Commands of many licenses: reviewed, carried out in groups, each outcome told."""
