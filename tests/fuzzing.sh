# What the commands `fuzz/run` of the crates have in common; they source it from their own folder, with
#
#   all=(TARGET …)               every target
#   declare -A bytes_max=(…)     the largest input of each: beyond it the fuzzer only grows slower
#
# and hand on their arguments:
#
#   SECONDS [TARGET …]   fuzzes all targets, or these, one after the other, each for its share of the time, from the committed corpus on
#   --unpack             unpacks the committed corpora to target/corpus/TARGET
#   --pack               packs target/corpus/TARGET as they are
#   --keep               adds what was found since to the committed corpora, as few and small inputs as cover it
#
# A corpus is committed as one archive a target, corpus/TARGET.tar.gz, which the tests replay; equal inputs make equal archives. Fuzzing
# ends with an error at the first input that breaks a target; the input is kept in artifacts/. The stable toolchain is enough: the
# coverage that the fuzzer needs is asked for by RUSTC_BOOTSTRAP. There is no sanitizer, since there is no unsafe code.
export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
target_folder=${CARGO_TARGET_DIR:-target}
found=$target_folder/found
unpacked=$target_folder/corpus

unpack() { # TARGET
    rm -rf "${unpacked:?}/$1" && mkdir -p "$unpacked/$1"
    [ ! -e "corpus/$1.tar.gz" ] || tar -xzf "corpus/$1.tar.gz" -C "$unpacked/$1"
}

pack() { # TARGET
    mkdir -p corpus
    (cd "$unpacked/$1" && LC_ALL=C ls -A) | LC_ALL=C sort >"$unpacked/$1.names"
    tar -cf - -C "$unpacked/$1" --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 \
        --verbatim-files-from -T "$unpacked/$1.names" | gzip -9n >"corpus/$1.tar.gz"
    echo "corpus/$1.tar.gz: $(wc -l <"$unpacked/$1.names") inputs, $(wc -c <"corpus/$1.tar.gz") bytes"
}

fuzz() { # TARGET FOLDER … -- LIBFUZZER-OPTION …
    local target=$1
    shift
    command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
    cargo fuzz run --fuzz-dir . --sanitizer none "$target" "$@" -max_len="${bytes_max[$target]}"
}

keep() { # TARGET
    mkdir -p "$found/$1"
    rm -rf "$found/$1.least" && mkdir "$found/$1.least"
    unpack "$1"
    fuzz "$1" "$found/$1.least" "$found/$1" "$unpacked/$1" -- -set_cover_merge=1 >/dev/null
    rm -rf "${unpacked:?}/$1" && mv "$found/$1.least" "$unpacked/$1"
    pack "$1"
}

search() { # SECONDS TARGET …
    local seconds=$1 target
    shift
    for target; do
        mkdir -p "$found/$target"
        unpack "$target"
        fuzz "$target" "$found/$target" "$unpacked/$target" -- -rss_limit_mb=1024 -timeout=10 -max_total_time=$((seconds / $#)) \
            -print_final_stats=1
    done
}

run() {
    local target
    case ${1:?seconds, --unpack, --pack or --keep} in
        --unpack | --pack | --keep) for target in "${all[@]}"; do "${1#--}" "$target"; done ;;
        *) if [ $# -gt 1 ]; then search "$@"; else search "$1" "${all[@]}"; fi ;;
    esac
}
