"""`polygent-issue registry`: back up, restore, export or rebuild the registry."""
