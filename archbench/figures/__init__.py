"""One module is one figure: draw(run) returns a finished Chart. The docstring is the question
that it answers, and how to read it."""
