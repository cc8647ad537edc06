"""Where backends come from: names, service records, files, plugins."""
