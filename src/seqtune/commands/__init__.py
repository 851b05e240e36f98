"""Commands of `kedro` in this project; each module is imported when its command is asked for."""
