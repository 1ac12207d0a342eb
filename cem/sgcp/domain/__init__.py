"""The domain below, pure: what the grid asks is split over its members, and what they used is added up."""
