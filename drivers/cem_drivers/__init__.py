"""Drivers: device profiles (data) and little code. They import cem.driver only, and their protocol libraries."""
