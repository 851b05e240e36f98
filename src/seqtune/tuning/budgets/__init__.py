"""How many trials and epochs each stage gets."""
