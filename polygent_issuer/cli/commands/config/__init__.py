"""`polygent-issue config`: show or change the settings."""
