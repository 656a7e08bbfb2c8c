"""Runs notebooks again and says which differences matter; README.md has the rest."""
