"""Raw files to the structure store. Importing this package imports nothing; the Psi4 interpreter reads `store`."""
