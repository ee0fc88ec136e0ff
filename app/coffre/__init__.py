"""The coffre: the whole log in one file that anyone can verify, and that nobody can spend."""
