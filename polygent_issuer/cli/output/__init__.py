"""Results as text, JSON and CSV, and the streams they go to."""
