"""The method: from roles and rules to a plan, and the reverse walk that follows it."""
