"""What the models of the family `regional` share."""
