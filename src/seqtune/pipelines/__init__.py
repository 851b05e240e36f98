"""One folder per stage; each is built once and instantiated for every task as a namespace."""
