"""Pickers, health probes, routers and observers that come from elsewhere."""
