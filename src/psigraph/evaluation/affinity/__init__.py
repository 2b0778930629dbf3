"""Evaluation of the family `affinity`: one run, one experiment, and all of them on a leaderboard."""
