"""`polygent-issue customer`: who the licenses are for."""
