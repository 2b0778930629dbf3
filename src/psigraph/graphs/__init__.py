"""Structures and quantum features to graph shards, and shards to PyG samples. Importing this package imports nothing."""
