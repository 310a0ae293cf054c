"""Mail drafts for customers, and calendar events of expiring licenses for the operator."""
