"""Who pays, for what, until when: calls for projects, conventions, programmes, tranches, shares, calendars."""
