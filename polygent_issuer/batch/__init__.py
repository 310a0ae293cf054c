"""Many licenses at once: rows matched, decided, previewed and issued in groups.

A registry is rebuilt from license files here, too, and exported as rows.
"""
