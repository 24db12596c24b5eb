"""Value types, errors, paths and settings: what every other folder may import, on the standard library alone."""
