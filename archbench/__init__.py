"""What plans, runs, predicts, draws and compares. The rooms, lowest first: formats (files of runs)
and stats; model; runner; drawing, figures and tables; report; bench. bin/archbench is the entry."""
