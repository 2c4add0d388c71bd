# Percentile plot of one cell. Called by archbench percentiles with these strings set:
# heading, note, classes (words), labels (quoted words), plain (1: text terminal).
# The x axis is 1 / (1 - p): every decade is one more nine, so the tail gets as much room as the
# rest.

array colour[6] = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]

set title heading noenhanced
set xlabel note noenhanced
set ylabel "response (ms)"
set logscale xy
set xrange [1:*] noextend
set xtics ("0" 1, "50 %%" 2, "90 %%" 10, "99 %%" 100, "99.9 %%" 1e3, "99.99 %%" 1e4, \
           "99.999 %%" 1e5, "99.9999 %%" 1e6)
set format y "%g"
if (!plain) {
    set title font ",34"
    set xtics font ",24"
    set ytics font ",24"
    set xlabel font ",20" offset 0,-0.7
    set grid xtics ytics lt 1 lc rgb "#d9d9d9" lw 1.5
    set border 3 lc rgb "#595959"
    set tics nomirror
    set lmargin 9
    set rmargin 4
    set bmargin 5.5
}
set key bmargin center horizontal reverse Left

# The last row (percentile 1) has no fourth column, and gnuplot leaves it out.
plot for [i = 1:words(classes)] word(classes, i) . ".hgrm" using 4:1 with lines lw 6 \
     lc rgb colour[(i - 1) % 6 + 1] title word(labels, i) noenhanced
