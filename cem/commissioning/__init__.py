"""From an empty box to a tested site: finding devices, proving them, the site file, the commissioning record."""
