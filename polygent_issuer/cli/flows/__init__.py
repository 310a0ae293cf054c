"""What several commands do alike: issue, renew, run a batch, draft mails, store a key."""
