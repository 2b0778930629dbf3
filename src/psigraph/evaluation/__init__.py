"""From checkpoints to tables and plots: of one run (`run`), of one experiment (`experiment`), and the `report`."""
