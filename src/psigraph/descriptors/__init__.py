"""Features that need no Psi4: Lewis structures and chirality (RDKit), sterics, free atoms, D4 dispersion; shieldings.

Runs in the ML environment. Importing this package imports nothing.
"""

#: Raised whenever a descriptor's definition or its computation changes; part of what identifies a descriptor store.
DESCRIPTOR_VERSION = 1
#: The same of shieldings; part of the key of every kept result.
SHIELDING_VERSION = 1
