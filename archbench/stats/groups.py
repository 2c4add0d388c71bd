"""Who differs from whom in a ranking of architectures, from a few trials of each.

Values are compared on logarithms, so an effect is a ratio. All pairs of a ranking are compared at
once by Tukey's studentized range: where nobody differs, the chance to call anybody different is
about 5 % for the whole ranking, however many pairs it has. Tukey's test assumes that all scatter
alike, which servers do not; Games and Howell (1976) take each one's own variance, which three
trials know so badly that the test errs both ways. So each variance is drawn towards what the
ranking has in common (moderated variances: Smyth 2004, as in significance.py), but upwards only: a
variance that came out small by chance makes false differences, one that is truly large must stay
so. Where all variances agree this is Tukey's test exactly.

Groups are shown by letters (compact letter display, insert and absorb: Piepho 2004)."""
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
import math
import string
import textwrap

import numpy as np
from scipy.stats import studentized_range

from archbench.stats import estimates as stats, noise
from archbench.stats.significance import LEAST_FACTOR, logs, moderated, prior_of

FAMILYWISE_ERROR = 0.05  # of all comparisons within one ranking together
LEAST_TRIALS = 2  # fewer tell nothing about scatter
# Degrees of freedom are rounded down to one of these: a quantile takes 0.2 s to compute.
DEGREES = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32,
           36, 40, 44, 48, 52, 56, 60, 64, 128, math.inf)
KEY = "a, b: sharing a letter means no difference by more than chance"  # in a legend
LEGEND_CHARACTERS = 90  # of one line


@dataclass(frozen=True)
class Ranked:
    """One architecture in a ranking.

    `letters`: "a", "ab", ...; who shares one with another does not differ from it; "" where the
    trials cannot say. `ratio`: how many times the value of the best this one has, as geometric
    means over the trials; its interval is simultaneous with the letters, so it holds 1 where the
    two share one (unless they differ by less than LEAST_FACTOR or the noise floor). Not valid, and
    no number, where there is none: of invalid trials, or to a best that is zero or had no reply."""
    name: str
    estimate: stats.Estimate
    letters: str
    ratio: stats.Estimate


def alike(one, other):
    """Do two Ranked with valid trials not differ beyond chance? By their letters; where trials are
    too few for letters, by a factor that chance does not make (stats.FACTOR_WITHOUT_INTERVALS), as
    the note below each figure says."""
    if one.letters and other.letters:
        return bool(set(one.letters) & set(other.letters))
    low, high = sorted((one.estimate, other.estimate), key=lambda e: e.value)
    return not stats.clearly_above(high, low)


@dataclass(frozen=True)
class Ranking:
    """Best first; those of which no reply came behind them, those without a valid trial last.
    `note`: what the letters rest on and what they cannot tell; "" with nothing to rank."""
    entries: list
    note: str

    def letters(self):
        """{name: letters}"""
        return {e.name: e.letters for e in self.entries}

    def lettered(self):
        """Has anybody a letter?"""
        return any(e.letters for e in self.entries)

    def mark(self, name):
        """The letters of `name`, for a figure; "" where it has none."""
        return brief(self.letters().get(name, ""))

    def label(self, name, text):
        """`text`, which says the value of `name`, with its letters behind."""
        return f"{text}  {self.mark(name)}".rstrip()

    def ends(self, leaving_out=()):
        """(the best entry, the worst, do they differ?) among those with a valid trial; None with
        fewer than two."""
        valid = [e for e in self.entries if e.estimate.valid and e.name not in leaving_out]
        if len(valid) < 2:
            return None
        best, worst = valid[0], valid[-1]
        return best, worst, not alike(best, worst)


@dataclass(frozen=True)
class Level:
    """The logarithms of one architecture's trials: their mean, its standard error, and the degrees
    of freedom that the error is known with."""
    mean: float
    error: float
    freedom: float


@lru_cache(maxsize=None)
def critical(count, freedom):
    """The range of `count` means that chance exceeds in FAMILYWISE_ERROR of all cases, in standard
    errors of one mean."""
    return float(studentized_range.ppf(1 - FAMILYWISE_ERROR, count, freedom))


def levels(samples):
    """{name: Level} of {name: positive values, at least LEAST_TRIALS}."""
    logarithms = {name: logs(values) for name, values in samples.items()}
    own = [float(x.var(ddof=1)) for x in logarithms.values()]
    freedom = [len(x) - 1 for x in logarithms.values()]
    together = sum(freedom)
    prior = prior_of(own, freedom)
    if math.isinf(prior[0]):  # all scatter alike
        prior = math.inf, float(np.average(own, weights=freedom))
    found = {}
    for (name, x), variance, degrees in zip(logarithms.items(), own, freedom):
        drawn, known = moderated(variance, degrees, prior)
        found[name] = Level(float(x.mean()), math.sqrt(max(drawn, variance) / len(x)),
                            min(known, together))  # nobody knows more than all trials together
    return found


def margin(a, b, count):
    """By how much the means of two Levels among `count` may differ by chance."""
    known = bisect_right(DEGREES, min(a.freedom, b.freedom)) - 1
    return critical(count, DEGREES[known]) * math.sqrt((a.error ** 2 + b.error ** 2) / 2)


def differences(found, floor=1.0):
    """The pairs of {name: Level} that differ, as frozensets: none by less than the factor `floor`."""
    apart, least = set(), math.log(max(LEAST_FACTOR, floor))
    for a, b in combinations(found, 2):
        effect = abs(found[a].mean - found[b].mean)
        if effect > margin(found[a], found[b], len(found)) and effect >= least:
            apart.add(frozenset((a, b)))
    return apart


def letter_display(names, apart):
    """{name: letters}: two names share a letter if and only if their pair is not in `apart`, a set
    of frozensets. Letters come in the order of the names. Each pair splits the columns that hold
    both (insert); a column within another is dropped (absorb)."""
    columns = [frozenset(names)] if names else []
    for pair in apart:
        split = []
        for column in columns:
            split += [column - {name} for name in pair] if pair <= column else [column]
        split = set(split)
        columns = [c for c in split if not any(c < other for other in split)]
    place = {name: k for k, name in enumerate(names)}
    columns.sort(key=lambda column: sorted(place[name] for name in column))
    return {name: "".join(letter_of(k) for k, column in enumerate(columns) if name in column)
            for name in names}


def letter_of(column):
    """a to z, A to Z, and, should so many ever be needed, Greek ones and on."""
    few = string.ascii_letters
    return few[column] if column < len(few) else chr(ord("α") + column - len(few))


def brief(letters):
    """'a–f' in place of 'abcdef': in a figure, many letters in a row run into the next panel."""
    in_a_row = letters and letters in string.ascii_lowercase
    return f"{letters[0]}–{letters[-1]}" if in_a_row and len(letters) > 3 else letters


def kind_of(values):
    """What can be said of the valid trials of one architecture: "measured" values are compared by
    the test. "no reply" in some trial and "zero" in all are facts, which set an architecture apart
    from the others without one. The rest, "unsaid", has one trial, or values with no logarithm."""
    if len(values) < LEAST_TRIALS:
        return "unsaid"
    if any(math.isinf(v) for v in values):
        return "no reply"
    if all(v > 0 for v in values):
        return "measured"
    return "unsaid" if any(values) else "zero"


def best_first(samples, ascending):
    """The names by their medians; those with an infinite trial are last, whichever way is better."""
    def place(name):
        value = stats.median(samples[name])
        lost = sum(math.isinf(v) for v in samples[name])
        return lost, value if ascending else -value
    return sorted(samples, key=place)


def geometric_mean(values):
    """Infinite when a value is; 0 when all are; NaN when only some have a logarithm."""
    if any(math.isinf(v) for v in values):
        return math.inf
    if not any(values):
        return 0.0
    return math.exp(float(logs(values).mean())) if min(values) > 0 else math.nan


def ratio_to(best, name, samples, found):
    """Ranked.ratio of `name`; `found`: the Levels of those who were measured."""
    base, own = geometric_mean(samples[best]), geometric_mean(samples[name])
    if not 0 < base < math.inf or math.isnan(own):
        return stats.Estimate(math.nan)
    reach = None
    if name == best:
        reach = 0.0
    elif name in found and best in found:
        reach = margin(found[name], found[best], len(found))
    ratio = stats.Estimate(own / base, trials=len(samples[name]))
    if reach is not None:
        ratio.low, ratio.high = ratio.value / math.exp(reach), ratio.value * math.exp(reach)
    return ratio


def groups_of(kinds, found, order, floor):
    """{name: letters} of those of whom something can be said: those of another kind are apart."""
    said = [name for name in order if kinds[name] != "unsaid"]
    apart = differences(found, floor)
    apart |= {frozenset(pair) for pair in combinations(said, 2)
              if kinds[pair[0]] != kinds[pair[1]]}
    return letter_display(said, apart)


def note_of(samples, kinds, found):
    """What a reader must know about the letters of this ranking."""
    if len(samples) < 2:
        return "" if not samples else "one alone: nobody to compare with"
    most = max(len(values) for values in samples.values())
    if most < LEAST_TRIALS:
        return "one trial each: too few to say who differs"
    said = []
    if len(found) > 1:
        reaches = [margin(a, b, len(found)) for a, b in combinations(found.values(), 2)]
        factor = max(LEAST_FACTOR, math.exp(float(np.median(reaches))))
        said.append(f"with {counts(samples, found)} trials, factors below about "
                    f"{factor:.3g} are within chance")
    for kind, meaning in (("no reply", "without a reply in some trial, thus in a group of their "
                           "own"), ("zero", "zero, thus in a group of their own"),
                          ("unsaid", "too few trials, or values, to say")):
        names = [name for name in samples if kinds[name] == kind]
        if names:
            said.append(f"{meaning}: {', '.join(names)}")
    return "; ".join(said)


def counts(samples, names):
    """'3' or '2 to 5': how many trials these have."""
    numbers = sorted({len(samples[name]) for name in names})
    return " to ".join(str(n) for n in (numbers[:1] + numbers[1:][-1:]))


def compare(samples, ascending=True, floor=1.0):
    """The Ranking of {name: values of its valid trials}. `ascending`: small is better. Names
    without values are left out. `floor`: the factor below which nothing is called a difference."""
    samples = {name: list(values) for name, values in samples.items() if values}
    kinds = {name: kind_of(values) for name, values in samples.items()}
    found = levels({n: values for n, values in samples.items() if kinds[n] == "measured"})
    order = best_first(samples, ascending)
    letters = groups_of(kinds, found, order, floor)
    entries = [Ranked(name, stats.estimate(samples[name]), letters.get(name, ""),
                      ratio_to(order[0], name, samples, found)) for name in order]
    return Ranking(entries, note_of(samples, kinds, found))


def rank(run, workload, point, metric, cls="", ascending=True, archs=None):
    """The Ranking of the architectures (default: all of the workload) at one point, by what
    summary.csv has of a metric and class. Those without a valid trial come last, without letters;
    those that were not measured are missing."""
    archs = run.archs(workload) if archs is None else archs
    values = {arch: run.values(workload, point, arch, metric, cls) for arch in archs}
    floor, twins = noise.floor(run, workload, point, metric, cls)
    ranking = compare({arch: valid for arch, (valid, _) in values.items()}, ascending, floor)
    invalid = {arch: of for arch, (valid, of) in values.items() if of and not valid}
    entries = ranking.entries + [
        Ranked(arch, stats.estimate([], invalid[arch]), "", stats.Estimate(math.nan))
        for arch in best_first(invalid, ascending)]
    note = ranking.note or ("no valid trial" if entries else "")
    return Ranking(entries, "; ".join(filter(None, (note, twins))) if len(entries) > 1 else note)


def doubts(rankings):
    """What {what is ranked: Ranking} cannot tell, in a sentence, or "". Of one ranking it is its
    note; of several, those in which nobody has a letter."""
    if len(rankings) == 1:
        return next(iter(rankings.values())).note
    silent = [what for what, ranking in rankings.items() if not ranking.lettered()]
    where = f" in {', '.join(silent)}" if len(silent) < len(rankings) else ""
    return f"too few trials to say who differs{where}" if silent else ""


def explain(chart, rankings):
    """Say in the legend of a Chart what the letters of {what is ranked: Ranking} mean, and what
    they cannot tell."""
    if any(ranking.lettered() for ranking in rankings.values()):
        chart.key(KEY, linestyle="")
    for line in textwrap.wrap(doubts(rankings), LEGEND_CHARACTERS):
        chart.key(line, linestyle="")
