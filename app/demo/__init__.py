"""The demonstration: the Creuse of the press, with places and people of our own making."""
