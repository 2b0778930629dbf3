"""From checkpoints to tables, plots and the report: one run (`run`), one experiment (`experiment`), everything (`report`)."""
