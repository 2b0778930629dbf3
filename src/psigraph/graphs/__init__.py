"""Structures and quantum features to graph shards, and shards to PyG samples. Importing it imports nothing."""
