"""`utils.explain_gap`: why a network trains well and predicts badly."""
