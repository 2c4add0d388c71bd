"""One module is one table: make(run) returns (header, rows, Markdown text)."""
