"""Commands of `kedro` in this project; each module is imported on use."""
