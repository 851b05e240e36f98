"""Types that several packages share. Imports no other package of seqtune, and nothing heavy."""
