"""What the models of the family `affinity` are made of: voxels, convolutions, attention, graphs, head."""
