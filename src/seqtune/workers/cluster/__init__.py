"""Nodes of a Ray cluster. The only place that knows Ray; imported where one is asked for."""
