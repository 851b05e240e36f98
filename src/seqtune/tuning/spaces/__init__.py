"""What is searched: parameters, their ranges and conditions, read from YAML."""
