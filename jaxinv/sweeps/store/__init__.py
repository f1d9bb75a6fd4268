"""The store of a sweep: one SQLite file, with its checks, merging and exports."""
