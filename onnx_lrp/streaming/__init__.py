"""Samples as they come, from any iterator: gathered to batches and prepared in the background, in bounded memory."""
