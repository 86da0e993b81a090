"""From files to model inputs, and from relevance to pictures."""
