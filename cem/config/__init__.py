"""The site file: its schema, loading with every fault named, cross-checks, writing. See README.md here."""
