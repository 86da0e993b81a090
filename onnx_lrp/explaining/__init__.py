"""From a batch to its explanations: which build answers, what its results say, and what there is to doubt."""
