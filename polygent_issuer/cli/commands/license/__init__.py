"""`polygent-issue license`: manage issued licenses."""
