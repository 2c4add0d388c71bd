"""Tables: the same rows as CSV, for programs, and as Markdown, for readers."""
import csv



def markdown(header, rows):
    def line(cells):
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)]) + "\n"


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def save(make, run, stem, target=None):
    """Write a table of a run as STEM.csv and STEM.md into the folder `target`, or else into the run's
    folder tables/. Returns the paths. `make` takes a Run, and returns (header, rows, Markdown text)
    or raises NoData."""
    header, rows, text = make(run)
    folder = target or run.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{stem}.csv", header, rows)
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    return [folder / f"{stem}.csv", folder / f"{stem}.md"]
