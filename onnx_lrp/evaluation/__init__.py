"""How good are reasons: measures of attributions, and the methods that LRP is held against."""
