"""What there is, in SQL."""
