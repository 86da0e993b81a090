"""Text: from sentences to ids, and relevance as a coloured row of tokens."""
