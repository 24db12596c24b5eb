"""What a user meets: the daemon, the language server and the engine together, on a small installed environment."""
