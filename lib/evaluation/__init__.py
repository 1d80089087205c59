"""How good a model is: reference losses to hold it against, and the measures of the paper's tables."""
