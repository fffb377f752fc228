"""What people ask a tabletop robot: a bank of wordings, templates around them, and requests drawn for a scene."""
