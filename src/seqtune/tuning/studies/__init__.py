"""Where trials are kept: storage, studies, records, copies, imports."""
