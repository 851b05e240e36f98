"""One folder a stage; a stage is built once and instantiated for each task as a namespace."""
