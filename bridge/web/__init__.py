"""The daemon's HTTP endpoints: health, dashboard, webhooks."""
