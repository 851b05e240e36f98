"""Types that two rooms speak about. Imports none of our other code, and nothing heavy."""
