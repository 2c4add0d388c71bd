"""One module is one case study of the guide: CASE says what the report shows of it. case.py and others in
PARTS are what they share."""
PARTS = ("case", "picture", "spans")
