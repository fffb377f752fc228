"""The demo: plays frames to an installed ``lisa_node``, asks it about them, shows the answers, draws them."""
