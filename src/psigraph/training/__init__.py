"""Training of every architecture with one engine, and its checkpoints. Importing this package imports nothing."""
