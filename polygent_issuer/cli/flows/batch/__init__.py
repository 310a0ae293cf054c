"""Commands that issue many licenses: previewed, issued in groups, each outcome reported."""
