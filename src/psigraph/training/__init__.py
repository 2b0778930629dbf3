"""Training of every architecture with one engine, and the checkpoints it writes. Importing this package imports nothing."""
