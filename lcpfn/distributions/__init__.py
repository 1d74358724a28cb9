"""Laws of one number: mixtures of normals and what a belief needs of them."""
