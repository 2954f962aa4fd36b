"""Records of runs: stores, signatures, what is asked of them."""
