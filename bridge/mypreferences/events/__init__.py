"""The events feed, its event types, and webhooks."""
