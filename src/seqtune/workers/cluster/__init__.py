"""Workers on a Ray cluster. Only this package imports Ray, and only where one is configured."""
