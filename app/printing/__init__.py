"""Carnets on paper and on telephones: templates, publicity, the files of a print batch."""
