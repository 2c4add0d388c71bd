# Turns the header lines of a server's file, the first one named, into the C source of its --about
# line. Lines of code are those of all files named: the parts of a server that is a folder count.
#
#   /* NAME: summary sentence
#    * Name:    threads
#    * Ids:     A3
#    * Family:  threads                   (or: processes, event loops, asynchronous, loop and workers,
#                                           messages)
#    * Look:    #E69F00 ^                 (optional: its colour and marker in figures)
#    * Read:    serve, surge=start        (optional: the functions that show what it does with a load;
#                                           archbench/formats/headers.py reads these two lines)
#    * Blocks:  compute timer upstream disk     (or: nothing)
#    * Tasks:   1 thread                  (for each connection: 0, 1 thread or 1 process)
#    * Compute: --workers=200             (requests at a time: a number, any, or an option; with
#                                           its default, where that is not the number of cores)
#    * Peers:   1                         (optional: connections at a time, as a number or as the
#                                           option that says how many; absent: no limit)
#    * Holds:   --slots=64                (optional: requests that it has under way at a time, with
#                                           all their waits, where no thread or connection says it:
#                                           an option and its default)
#    * Push:    a wake-up of the loop     (how a push reaches a connection that another thread, loop or
#                                           process owns, in a few words; no: it cannot be pushed to)
#    * Book:    a lock for each           (how the order books are shared, in a few words)
#    * Link:    -lev                      (optional)
function list(text,    n, i, words, out) {
    if (text == "nothing") return "[]"
    n = split(text, words, /[ ,]+/)
    for (i = 1; i <= n; i++) out = out (i > 1 ? "," : "") "\"" words[i] "\""
    return "[" out "]"
}
function quote(text) { gsub(/["\\]/, "\\\\&", text); return "\"" text "\"" }
NR == 1 { summary = $0; sub(/^\/\* [^:]*: */, "", summary) }
NR > 1 && !started && /^ \*$/ { started = 1 }
NR > 1 && !started && /^ \* / { sub(/^ \* */, ""); summary = summary " " $0 }
function refuse(what) { print FILENAME ": " what > "/dev/stderr"; refused = 1; exit 1 }
function amount(key, text) {
    if (text ~ /^[1-9][0-9]*$/) return text
    if (text ~ /^--[a-z-]+(=[1-9][0-9]*)?$/ || key == "Compute" && text == "any") return quote(text)
    refuse(key ": must be a number or an option")
}
function tasks(text) {
    if (text !~ /^(0|1 thread|1 process)$/) refuse("Tasks: must be 0, 1 thread or 1 process")
    return quote(text)
}
function kin(text) {
    if (text !~ /^(processes|threads|event loops|asynchronous|loop and workers|messages)$/)
        refuse("Family: must be one of those that servers/about.awk names")
    return quote(text)
}
function held(text) {
    if (text !~ /^--[a-z-]+=[1-9][0-9]*$/) refuse("Holds: must be an option and its default")
    return quote(text)
}
FNR == NR && /^ \* (Name|Ids|Family|Blocks|Tasks|Compute|Peers|Holds|Push|Book): / { key = $2; sub(/:$/, "", key); sub(/^ \* [A-Za-z]+: */, ""); field[key] = $0 }
/^[ \t]*$/ { next }
{ lines++ }
END {
    if (refused) exit 1
    for (i = split("Name Ids Family Blocks Tasks Compute Push Book", need, " "); i > 0; i--)
        if (!(need[i] in field)) refuse("no header line " need[i] ":")
    sub(/ *\*\/.*$/, "", summary)
    about = "{\"name\":" quote(field["Name"]) ",\"ids\":" list(field["Ids"]) \
        ",\"family\":" kin(field["Family"]) ",\"blocks\":" list(field["Blocks"]) \
        ",\"tasks\":" tasks(field["Tasks"]) ",\"computes\":" amount("Compute", field["Compute"]) \
        ("Peers" in field ? ",\"peers\":" amount("Peers", field["Peers"]) : "") \
        ("Holds" in field ? ",\"holds\":" held(field["Holds"]) : "") \
        ",\"push\":" (field["Push"] == "no" ? "null" : quote(field["Push"])) \
        ",\"book\":" quote(field["Book"]) ",\"loc\":" lines ",\"summary\":" quote(summary) "}"
    print "extern const char server_about[], server_name[], server_summary[];"
    print "const char server_about[] = " quote(about) ";"
    print "const char server_name[] = " quote(field["Name"]) ";"
    print "const char server_summary[] = " quote(summary) ";"
}
