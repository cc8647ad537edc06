"""TOML and command-line text, made into frozen configuration."""
