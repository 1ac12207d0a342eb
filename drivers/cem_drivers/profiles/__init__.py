"""Device profiles: data, not code. One TOML file per device family."""
