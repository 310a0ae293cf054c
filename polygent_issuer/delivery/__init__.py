"""How a license reaches its customer, and its end the operator's calendar: drafts and events."""
