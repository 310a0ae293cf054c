"""Documents made of the registry: mails, calendars, metrics, reports, the settings in a backup."""
