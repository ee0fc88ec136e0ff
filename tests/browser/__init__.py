"""What people see, in a real browser: the pages, in both themes and both languages, with and without a mouse."""
