"""Store trials: storage, studies, records, copies, imports."""
