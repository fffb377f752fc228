"""The network beside recordings of the reference's own code on the same weights."""
