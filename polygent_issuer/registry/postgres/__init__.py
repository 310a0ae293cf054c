"""The engine of a registry in PostgreSQL, for a team (extra `[postgres]`).

`connection` has what the registry calls. Only it, `session` and `errors` import psycopg, so the
other modules can be imported without the extra. All tables are in the schema `polygent`.
"""
