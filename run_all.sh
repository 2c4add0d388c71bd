#!/bin/bash
# Everything: install what is missing, build, calibrate, run the cells, draw tables and figures.
# Each stage also runs alone: ./run_all.sh STAGE [options].
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'END'
Usage: ./run_all.sh [STAGE] [options]

stages (default: all of them, in this order)
  deps       install the packages that are missing
  build      compile
  calibrate  measure how much work a millisecond is on this machine
  cells      plan the cells and run them
  plots      draw tables, figures and the report of results/latest (or of --resume DIR)

options
  --smoke | --quick | --full   how long: 40 s, five minutes (default), two hours
  --only ARCH,...              only these architectures
  --workloads W,...            only these workloads
  --cases NAME,...             only these case studies (chat, trading), with Redis and PostgreSQL
  --trials N                   repetitions of every cell
  --seed N                     of the order of the cells and of the arrivals
  --patience SECONDS           wait so long in all for a machine that others leave alone
  --resume DIR                 go on with an interrupted run
  --dry-run                    print the plan of cells and stop
END
}

deps() { ./deps.sh "${groups[@]}"; } # not `make deps`: make itself may be missing
build() { make --no-print-directory -j"$(nproc)"; }
# Once per machine is enough: results of several runs can then be compared.
calibrate() { [[ ${#stages[@]} -gt 1 && -e build/calibration.json ]] || build/calibrate; }
# Ctrl-C stops the cells; what has been measured is drawn all the same. A second one ends that too.
cells() {
    local status=0 before
    before=$(readlink results/latest || true)
    trap : INT
    bin/archbench run --with-parent "$@" || status=$?
    trap - INT
    if ((status == stopped)); then
        ended=$status
        [[ $run != results/latest || $(readlink results/latest || true) != "$before" ]] || exit "$ended"
    elif ((status)); then
        exit "$status"
    fi
}
plots() { bin/archbench draw "$run"; }

# The options go to archbench run as they are; these say something to us as well.
stages=(deps build calibrate cells plots)
stopped=130
ended=0
run=results/latest
options=()
groups=(run)
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    deps | build | calibrate | cells | plots) stages=("$1") ;;
    --dry-run) stages=(build cells) && options+=("$1") ;;
    --smoke | --quick | --full) options+=("$1") ;;
    --resume) run=${2:?--resume needs a folder} && options+=("$1" "$2") && shift ;;
    --cases)
        options+=("$1" "${2:?$1 needs a value}") && groups+=(cases) && shift
        ;;
    --only | --workloads | --trials | --seed | --patience)
        options+=("$1" "${2:?$1 needs a value}") && shift
        ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

for stage in "${stages[@]}"; do
    case $stage in
    cells) cells "${options[@]}" ;;
    *) "$stage" ;;
    esac
done

if [[ ${stages[-1]} == plots ]]; then
    folder=$(realpath --relative-to=. "$run")
    printf '\nLook at:\n'
    for made in report.html tables figures summary.csv manifest.json; do
        [[ ! -e $folder/$made ]] || printf '  %s\n' "$folder/$made"
    done
fi
((ended == 0)) || exit "$ended"
