"""Who works here: people, their roles, how they prove who they are, and their sessions."""
