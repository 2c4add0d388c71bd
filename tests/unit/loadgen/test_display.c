/* Tests of loadgen/output/display.c and loadgen/output/pretty.c: what numbers look like. What a terminal shows is
 * tested by tests/test_output.py. */
#include "loadgen/output/display.h"
#include "loadgen/output/pretty.h"

#include <criterion/criterion.h>
#include <math.h>

Test(display, bars_grow_with_the_value)
{
    const double values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    char text[64];

    display_bars(text, sizeof text, values, 9, true);
    cr_assert_str_eq(text, "▁▁▂▃▄▅▆▇█");
    display_bars(text, sizeof text, values, 9, false);
    cr_assert_str_eq(text, "..:-=+*%#");
}

Test(display, bars_of_no_numbers)
{
    const double values[] = {INFINITY, NAN, 5}, nothing[] = {0, 0};
    char text[64];

    display_bars(text, sizeof text, values, 3, false);
    cr_assert_str_eq(text, "! #");
    display_bars(text, sizeof text, nothing, 2, false);
    cr_assert_str_eq(text, "..");
    display_bars(text, sizeof text, values, 0, true);
    cr_assert_str_eq(text, "");
}

Test(display, bars_are_cut_between_characters)
{
    const double values[] = {8, 8, 8};
    char text[9];

    display_bars(text, 9, values, 3, true);
    cr_assert_str_eq(text, "██");
    display_bars(text, 7, values, 3, true);
    cr_assert_str_eq(text, "██");
    display_bars(text, 6, values, 3, true);
    cr_assert_str_eq(text, "█");
    display_bars(text, 1, values, 3, true);
    cr_assert_str_eq(text, "");
}

Test(pretty, times_have_three_digits_and_a_unit)
{
    static const struct {
        double ns;
        const char *text;
    } cases[] = {{0, "0.00us"},      {1234, "1.23us"}, {9994, "9.99us"},    {9996, "10.0us"},
                 {99940, "99.9us"},  {99960, "100us"}, {999400, "999us"},   {999600, "1.00ms"},
                 {999.6e6, "1.00s"}, {137e9, "137s"},  {86400e9, "86400s"}, {INFINITY, "inf"},
                 {NAN, "-"}};
    char text[PRETTY_TIME];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_str_eq(pretty_time(text, cases[i].ns), cases[i].text, "%g: %s", cases[i].ns,
                         text);
}
