"""The peers' side of the figures, each set up as favourably for it as its options allow."""
