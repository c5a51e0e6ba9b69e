"""Following along: tokens, filters, who is woken, and what an answer costs."""
