"""`polygent-issue customer`: manage customers."""
