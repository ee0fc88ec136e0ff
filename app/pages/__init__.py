"""Pages for people who sign in, by audience: a département's rooms, a desk's, a site's."""
