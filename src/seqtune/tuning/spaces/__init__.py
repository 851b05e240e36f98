"""The searched space: parameters, ranges and conditions, read from YAML."""
