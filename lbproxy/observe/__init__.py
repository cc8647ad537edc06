"""The logs: of connections, of abnormal ends and of the members of pools."""
