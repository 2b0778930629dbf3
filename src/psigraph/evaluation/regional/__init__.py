"""Evaluation of the family `regional`: one run, one experiment, and all of them on a leaderboard."""
