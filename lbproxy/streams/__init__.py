"""How bytes travel: transports, and nothing of pools."""
