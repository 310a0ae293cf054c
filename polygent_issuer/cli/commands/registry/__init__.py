"""`polygent-issue registry`: back up, restore, move, export or rebuild the registry."""
